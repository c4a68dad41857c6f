//! Text to settings: the configuration file and the model manifests. Pure but for reading a file.
//!
//! A text goes through two passes. The typed parse (`load`, with `explain` for its errors) stops at the first
//! fault of form; the checks (`check`, `manifest_check`) then report all that cannot be. `tree` remembers where
//! everything stands, so that both can point at line and column.

mod calibration;
mod changes;
mod check;
mod check_camera;
mod check_debug;
mod check_decision;
mod check_events;
mod check_watch;
mod control;
mod credential;
mod diagnostic;
mod enrolment;
mod events;
mod explain;
mod http;
mod load;
mod manifest;
mod manifest_check;
mod people;
mod schema;
mod speed;
mod suggest;
mod tree;
mod types;
mod watch;

pub use calibration::{WriteCalibrationError, calibration_section, with_calibration};
pub use changes::Takeover;
pub use check::{Finding, check};
pub use check_events::socket_mode;
pub use control::{Control, Operators};
pub use credential::{is_name, located};
pub use diagnostic::{ConfigError, Diagnostic, Place, Severity};
pub use enrolment::{Enrolment, Refresh};
pub use events::{
    Backoff, Events, Hook, Mqtt, MqttTls, MqttVersion, Only, OnlyGrants, OutboxSettings, Relay, Socket,
    Webhook,
};
pub use http::{Http, HttpKiosk, HttpTls, HttpVerify};
pub use load::MAX_FILE_BYTES;
pub use manifest::{
    Colour, Decoder, DetectorSpec, EmbedderSpec, Fit, Input, LandmarksSpec, Layout, LivenessSpec,
    MANIFEST_SCHEMA, Manifest, Metric, PerChannel, Role, Source,
};
pub use people::People;
pub use schema::{default_yaml, json_schema};
pub use speed::{InvalidSpeed, Speed};
pub use types::{
    CONFIG_SCHEMA, Camera, Challenge, Config, ControlValue, Debug, Decision, Detection, Driver, Gallery,
    Liveness, LivenessMode, Models, PixelFormat, Quality, SeveralFaces, Tracking,
};
pub use watch::{OnFault, Watch};
