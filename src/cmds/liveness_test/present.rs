//! One presentation: the daemon's own pipeline for a few seconds, or for one recording.

use std::sync::Arc;
use std::time::Duration;

use super::super::assembly::{self, Lasting, Minds, Models, Surroundings};
use super::super::daemon::{pipeline_failure, something_seen};
use super::super::exit::{Exit, Failure, OrExit};
use super::super::terms::passive_checks;
use super::witness::{Outcome, Witness, policy};
use crate::camera::OpenSource;
use crate::clock::Clock;
use crate::config::{Config, Metric};
use crate::decision::Policy;
use crate::domain::{PersonId, Similarity, Threshold};
use crate::inference::{Embedder as _, LivenessModel, OrtDetector, OrtEmbedder, OrtLiveness, Turns};
use crate::matching::{Gallery, GalleryMetric, SharedGallery};
use crate::pipeline::{self, Announcer, Parts};

/// So soon has a pipeline ended that was told to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Everything that is the same at each presentation.
pub(super) struct Stage {
    pub(super) config: Config,
    detector: Turns<OrtDetector>,
    embedder: Turns<OrtEmbedder>,
    liveness: Option<Turns<OrtLiveness>>,
    /// Nobody is enrolled in it; the embedder is asked all the same, since a track begins anew where the face changes.
    gallery: SharedGallery,
    policy: Policy,
    somebody: (PersonId, Similarity),
    pub(super) clock: Arc<dyn Clock>,
}

/// How long a presentation goes on.
#[derive(Debug, Clone, Copy)]
pub(in crate::cmds) enum Extent {
    /// At most so long, of a camera.
    AtMost(Duration),
    /// To the end of a recording, every frame of it.
    ToItsEnd,
}

impl Stage {
    /// Loads the models. The pipelines go by the `clock`.
    pub(super) fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let models = Models::load(&config)?;
        let daemon = models.terms(&config, true)?.policy;
        let any = Threshold::new(0.0).or_exit(Exit::Internal)?;
        let metric = match models.embedder.spec().metric {
            Metric::Cosine => GalleryMetric::Cosine,
            Metric::Euclidean => GalleryMetric::Euclidean,
        };
        let dimension = models.embedder.spec().dimension;
        Ok(Self {
            gallery: SharedGallery::new(Gallery::new(models.embedder.digest(), metric, dimension, &[])),
            detector: Turns::new(models.detector),
            embedder: Turns::new(models.embedder),
            liveness: models.liveness.map(Turns::new),
            policy: policy(&daemon, passive_checks(&config.liveness, true), any),
            somebody: (
                PersonId::new("presented").or_exit(Exit::Internal)?,
                Similarity::new(1.0).or_exit(Exit::Internal)?,
            ),
            clock,
            config,
        })
    }

    /// Watches one presentation; `None` if `go_on` said no. That waits a little each time that it is asked.
    pub(super) fn present(
        &self,
        open: OpenSource,
        extent: Extent,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Outcome>, Failure> {
        let witness = Witness::new(self.policy.clone(), self.somebody.clone()).or_exit(Exit::Config)?;
        let sighting = witness.sighting();
        let begun = self.clock.now();
        let mut running = pipeline::spawn(self.parts(open, witness, extent)?).or_exit(Exit::Unavailable)?;
        let is_over = || match extent {
            Extent::AtMost(most) => self.clock.now().since(begun) >= most || sighting.is_settled(),
            Extent::ToItsEnd => false,
        };
        let mut is_wanted = true;
        while is_wanted && !running.is_over() && !is_over() {
            is_wanted = go_on();
        }
        running.stop();
        let stats = running.join(END_WITHIN).map_err(pipeline_failure)?;
        if !is_wanted {
            return Ok(None);
        }
        if stats.captured.get() == 0 {
            return Err(Failure::new(Exit::Unavailable, "no picture came from the camera"));
        }
        something_seen(stats)?;
        Ok(Some(sighting.outcome()))
    }

    fn parts(&self, open: OpenSource, witness: Witness, extent: Extent) -> Result<Parts, Failure> {
        let config = &self.config;
        let camera =
            config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
        let lend = |model: &Turns<OrtLiveness>| Box::new(model.clone()) as Box<dyn LivenessModel>;
        let minds = Minds {
            detector: Box::new(self.detector.clone()),
            embedder: Box::new(self.embedder.clone()),
            liveness: self.liveness.as_ref().map(lend),
            decider: Box::new(witness),
        };
        let surroundings = Surroundings {
            open,
            keep_all: matches!(extent, Extent::ToItsEnd),
            own_time: matches!(extent, Extent::ToItsEnd),
            gallery: self.gallery.clone(),
            // What is to be said of a camera or a model is in the log as well.
            announcer: Announcer::new(Arc::clone(&self.clock), Arc::new(|_| ())),
            recording: None,
            lasting: Lasting::default(),
            clock: Arc::clone(&self.clock),
        };
        Ok(assembly::parts((config, camera), minds, surroundings))
    }
}
