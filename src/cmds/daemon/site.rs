//! All cameras of a daemon: a post each. What is wrong with one stops no other.

use std::sync::Arc;
use std::time::Duration;

use super::super::exit::{Exit, Failure};
use super::pipeline_failure;
use super::post::{Common, Post};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::decision::Policy;
use crate::domain::CameraId;
use crate::pipeline::{CameraState, Running, Stats};
use crate::sys::signals::Shutdown;

/// How long the service manager is kept waiting while every camera is missing.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked meanwhile whether one has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The posts of a daemon.
pub(super) struct Site {
    posts: Vec<Post>,
    common: Common,
}

impl Site {
    /// A post for each camera of `config`, to be decided about by the policy at its place. Nothing is opened yet.
    pub(super) fn new(config: &Config, policies: Vec<Policy>, common: Common) -> Result<Self, Failure> {
        let own = config.one_by_one().zip(policies);
        let posts: Vec<Post> =
            own.map(|(config, policy)| Post::new(config, policy)).collect::<Result<_, _>>()?;
        if posts.is_empty() {
            return Err(Failure::new(Exit::Config, "no camera is configured"));
        }
        Ok(Self { posts, common })
    }

    /// Starts all.
    ///
    /// # Errors
    /// If the system gives no threads; or the only source can never be used.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let is_alone = self.posts.len() == 1;
        for post in &mut self.posts {
            match post.start(&self.common) {
                Err(failure) if is_alone => return Err(failure),
                // Tended to like one that is lost later.
                started => drop(started),
            }
        }
        self.tend()
    }

    /// Waits until each camera gives frames or is known to be missing: before that nothing is watched. Where all are
    /// missing it waits a while longer, so that "active" means that frames flow, and then no more: a missing camera must
    /// not hold up the boot. False if that is not to be: nothing runs any more, or the program is to end.
    pub(super) fn is_ready(&self, shutdown: &Shutdown) -> bool {
        let wait = |running: &Running| {
            crossbeam_channel::select! {
                recv(running.ready) -> ready => ready.is_ok(),
                recv(shutdown.requested()) -> _ => false,
            }
        };
        // All are waited for, also where an earlier one has ended.
        let ready: Vec<bool> = self.posts.iter().filter_map(Post::running).map(wait).collect();
        let clock = SystemClock::new();
        let all_are_lost = || {
            let mut running =
                self.posts.iter().filter(|post| post.running().is_some_and(|one| !one.is_over()));
            running.all(|post| matches!(post.condition().state, CameraState::Lost { .. }))
        };
        while ready.contains(&true)
            && all_are_lost()
            && clock.now().0 < READY_WITHIN
            && !shutdown.is_requested()
        {
            clock.sleep(LOOK_EVERY);
        }
        ready.contains(&true) && !shutdown.is_requested()
    }

    /// The first camera's pipeline, for whoever draws it.
    pub(super) fn first(&self) -> Option<&Running> {
        self.posts.first().and_then(Post::running)
    }

    /// Looks after all pipelines. To be called several times a second.
    ///
    /// # Errors
    /// What ends the daemon, see [`Post::tend`].
    pub(super) fn tend(&mut self) -> Result<(), Failure> {
        let is_alone = self.posts.len() == 1;
        self.posts.iter_mut().try_for_each(|post| post.tend(&self.common, is_alone))
    }

    /// True once all sources have ended.
    pub(super) fn is_over(&self) -> bool {
        self.posts.iter().all(Post::is_over)
    }

    /// A stage that hangs, and at which camera.
    pub(super) fn silent(&self) -> Option<(&CameraId, &'static str)> {
        self.posts.iter().find_map(|post| Some((post.camera(), post.running()?.silent()?)))
    }

    /// The posts.
    pub(super) fn posts(&self) -> &[Post] {
        &self.posts
    }

    /// Goes on by other settings with the same cameras in the same order.
    pub(super) fn change(&mut self, config: &Config, policies: Vec<Policy>) {
        for (post, (config, policy)) in self.posts.iter_mut().zip(config.one_by_one().zip(policies)) {
            post.change(config, policy);
        }
    }

    /// Ends all pipelines, together within about `within`, and gives back what each has counted.
    ///
    /// # Errors
    /// The first that did not end well; all are waited for.
    pub(super) fn end(mut self, within: Duration) -> Result<Vec<(CameraId, Arc<Stats>)>, Failure> {
        self.posts.iter_mut().for_each(Post::stop);
        let clock = SystemClock::new();
        let end = |post: Post| {
            let counted = (post.camera().clone(), Arc::clone(post.stats()));
            post.join(within.saturating_sub(clock.now().0)).map(|()| counted).map_err(pipeline_failure)
        };
        let ended: Vec<_> = self.posts.into_iter().map(end).collect();
        ended.into_iter().collect()
    }
}
