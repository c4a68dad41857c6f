use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use image::RgbImage;

use super::super::assembly::Minds;
use super::post::{Common, Post};
use super::site::Site;
use super::*;
use crate::camera::FrameSource;
use crate::config::{Camera, OnFault, Watch};
use crate::decision::{Acceptance, LivenessPolicy, Policy, SeveralFaces};
use crate::domain::{CapturedFrame, Detection, Event, Payload, Threshold};
use crate::inference::{Detector, InferenceError, ScriptedDetector, ScriptedEmbedder};
use crate::matching::{Gallery, GalleryMetric, SharedGallery};
use crate::sys::thread::ThreadError;

#[test]
fn a_stage_that_panics_is_a_defect_and_a_wrong_source_is_not() {
    let panic = ThreadError::Panicked { name: "detect".to_owned(), message: "why".to_owned() };
    let failure = pipeline_failure(panic.into());
    assert_eq!(
        (failure.exit, failure.to_string().as_str()),
        (Exit::Internal, "the thread detect panicked: why")
    );
    let failure = pipeline_failure(SourceError::Unusable("no such file".to_owned()).into());
    assert_eq!((failure.exit, failure.to_string().as_str()), (Exit::Unavailable, "no such file"));
}

/// A camera that nobody stands before; or a recording of one picture.
struct Empty {
    camera: CameraId,
    clock: Arc<dyn Clock>,
    seq: u64,
    is_finite: bool,
}

impl FrameSource for Empty {
    fn next_frame(&mut self, _timeout: Duration) -> Result<CapturedFrame, SourceError> {
        if self.is_finite && self.seq > 0 {
            return Err(SourceError::Ended);
        }
        self.clock.sleep(Duration::from_millis(5));
        self.seq += 1;
        let (camera, captured_at) = (self.camera.clone(), self.clock.now());
        Ok(CapturedFrame { camera, seq: self.seq, captured_at, payload: Payload::Rgb(RgbImage::new(8, 8)) })
    }

    fn describe(&self) -> String {
        "an empty room".to_owned()
    }

    fn is_finite(&self) -> bool {
        self.is_finite
    }
}

/// Panics so often, then finds nobody.
struct Fragile(Arc<AtomicU32>);

impl Detector for Fragile {
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "a detector that panics");
        ScriptedDetector::default().detect(picture)
    }
}

/// A site without real cameras and models.
struct Stage {
    clock: Arc<dyn Clock>,
    panics: Arc<AtomicU32>,
    heard: Arc<Mutex<Vec<Event>>>,
    /// The cameras as they were opened.
    opened: Arc<Mutex<Vec<Camera>>>,
    is_finite: bool,
}

impl Stage {
    fn new(panics: u32) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            panics: Arc::new(AtomicU32::new(panics)),
            heard: Arc::default(),
            opened: Arc::default(),
            is_finite: false,
        }
    }

    fn common(&self) -> Common {
        let (clock, heard, is_finite) = (Arc::clone(&self.clock), Arc::clone(&self.heard), self.is_finite);
        let (panics, opened) = (Arc::clone(&self.panics), Arc::clone(&self.opened));
        let out = move |event| heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        Common {
            opener: Box::new(move |camera| {
                if camera.source == "/nowhere" {
                    return Err(SourceError::Unusable("/nowhere: no such file".to_owned()));
                }
                opened.lock().unwrap().push(camera.clone());
                let (clock, camera) = (Arc::clone(&clock), camera.id.clone());
                Ok(Box::new(move || {
                    let (clock, camera) = (Arc::clone(&clock), camera.clone());
                    Ok(Box::new(Empty { camera, clock, seq: 0, is_finite }) as Box<dyn FrameSource>)
                }))
            }),
            minds: Box::new(move |decider| Minds {
                detector: Box::new(Fragile(Arc::clone(&panics))),
                embedder: Box::new(ScriptedEmbedder::default()),
                liveness: None,
                decider: Box::new(decider),
            }),
            recording: Box::new(|_| None),
            gallery: SharedGallery::new(Gallery::new(
                ScriptedEmbedder::DIGEST,
                GalleryMetric::Cosine,
                3,
                &[],
            )),
            announcer: Announcer::new(Arc::clone(&self.clock), Arc::new(out)),
            clock: Arc::clone(&self.clock),
        }
    }

    fn site(&self, config: &Config) -> Site {
        Site::new(config, config.cameras.iter().map(|_| policy()).collect(), self.common()).unwrap()
    }

    /// One line an event.
    fn said(&self) -> Vec<String> {
        let line = |event: &Event| match &event.kind {
            EventKind::Degraded { message } => message.clone(),
            EventKind::CameraLost { camera, message } => format!("{camera} lost: {message}"),
            other => other.name().to_owned(),
        };
        self.heard.lock().unwrap().iter().map(line).collect()
    }

    /// Tends to the site until something is so; what ended it, if that came first.
    fn until(&self, site: &mut Site, is_so: impl Fn(&Site) -> bool) -> Option<Failure> {
        while !is_so(site) {
            assert!(self.clock.now().0 < Duration::from_secs(60), "waited in vain: {:?}", self.said());
            self.clock.sleep(Duration::from_millis(2));
            if let Err(failure) = site.tend() {
                return Some(failure);
            }
        }
        None
    }
}

fn policy() -> Policy {
    Policy {
        acceptance: Acceptance::Similarity(Threshold::new(0.8).unwrap()),
        min_margin: 0.05,
        min_looks: 2,
        window: Duration::from_secs(2),
        give_up_after: Duration::from_secs(4),
        cooldown: Duration::from_secs(10),
        grant_valid: Duration::from_secs(2),
        liveness: LivenessPolicy::Off,
        several_faces: SeveralFaces::Each,
    }
}

fn config(cameras: &[(&str, &str)]) -> Config {
    // These cameras show nothing at all, which is not what is tested here.
    let off = OnFault::Off;
    let watch = Some(Watch { frozen: off, covered: off, blinded: off, moved: off, ..Watch::default() });
    let camera = |&(id, source): &(&str, &str)| Camera {
        watch: watch.clone(),
        ..Camera::new(CameraId::new(id).unwrap(), source.to_owned())
    };
    let mut config = Config::new(camera(&cameras[0]));
    config.cameras = cameras.iter().map(camera).collect();
    config
}

fn detected(site: &Site, at: usize) -> u64 {
    site.posts()[at].stats().detected.get()
}

#[test]
fn stages_that_panic_now_and_then_are_started_anew_and_said() {
    let stage = Stage::new(2);
    let mut site = stage.site(&config(&[("door", "/dev/a")]));
    site.start().unwrap();
    assert!(stage.until(&mut site, |site| detected(site, 0) > 3).is_none());
    let said = stage.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("camera door: the thread detect panicked: a detector that panics"), "{said:?}");
    assert_eq!(stage.opened.lock().unwrap().len(), 3);
    assert!(site.silent().is_none());
    assert_eq!(site.end(Duration::from_secs(60)).unwrap().len(), 1);
}

#[test]
fn the_third_panic_within_a_minute_ends_it() {
    let stage = Stage::new(3);
    let mut site = stage.site(&config(&[("door", "/dev/a"), ("gate", "/dev/b")]));
    site.start().unwrap();
    let failure = stage.until(&mut site, |site| detected(site, 0) > 3 && detected(site, 1) > 3);
    // Three panics over two cameras are not three at one of them, or they are.
    let said = stage.said().len();
    assert_eq!(said, if failure.is_some() { 2 } else { 3 });
    stage.panics.store(9, Ordering::SeqCst);
    let failure = failure.or_else(|| stage.until(&mut site, |_| false)).unwrap();
    assert_eq!(failure.exit, Exit::Internal);
    assert!(failure.to_string().contains("detect panicked"), "{failure}");
}

#[test]
fn a_recording_is_not_played_again_after_a_panic() {
    let stage = Stage { is_finite: true, ..Stage::new(1) };
    let mut site = stage.site(&config(&[("door", "/dev/a")]));
    site.start().unwrap();
    let failure = stage.until(&mut site, |site| site.is_over()).unwrap();
    assert_eq!((failure.exit, stage.said().len()), (Exit::Internal, 0));
}

#[test]
fn a_camera_that_cannot_be_used_stops_no_other_and_ends_the_daemon_alone() {
    let stage = Stage::new(0);
    let mut site = stage.site(&config(&[("gate", "/nowhere"), ("door", "/dev/a")]));
    site.start().unwrap();
    assert!(site.is_ready(&Shutdown::new()));
    assert!(stage.until(&mut site, |site| detected(site, 1) > 3).is_none());
    assert_eq!(stage.said(), ["gate lost: /nowhere: no such file"]);
    assert!(!site.is_over());
    site.end(Duration::from_secs(60)).unwrap();

    let mut alone = stage.site(&config(&[("gate", "/nowhere")]));
    assert_eq!(alone.start().unwrap_err().exit, Exit::Unavailable);
}

#[test]
fn other_settings_of_a_camera_open_it_anew_and_others_do_not() {
    let stage = Stage::new(0);
    let before = config(&[("door", "/dev/a"), ("gate", "/dev/b")]);
    let mut site = stage.site(&before);
    site.start().unwrap();
    let mut after = before.clone();
    after.decision.min_margin = 0.1;
    after.cameras[0].false_match_rate = Some(1e-5);
    after.cameras[1].width = 640;
    let policies = after.cameras.iter().map(|_| Policy { min_margin: 0.1, ..policy() }).collect();
    site.change(&after, policies);
    let widths =
        || stage.opened.lock().unwrap().iter().map(|c| (c.id.to_string(), c.width)).collect::<Vec<_>>();
    assert!(stage.until(&mut site, |_| widths().len() == 3).is_none());
    assert_eq!(widths()[2], ("gate".to_owned(), 640));
    let seen = detected(&site, 1);
    assert!(stage.until(&mut site, |site| detected(site, 1) > seen + 3 && !site.is_over()).is_none());
    assert!(stage.said().is_empty(), "{:?}", stage.said());
    site.end(Duration::from_secs(60)).unwrap();
}

#[test]
fn a_post_needs_a_camera() {
    let mut none = config(&[("door", "/dev/a")]);
    none.cameras.clear();
    assert!(Post::new(none, policy()).is_err());
}
