//! Which cameras are paused, and which are used for something else than watching. Pure but for the orders that it gives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, Moment};
use crate::control::{CameraState, CameraStatus};
use crate::domain::{CameraId, EventKind, PauseCause, ResumeCause};
use crate::pipeline::{Order, Orders};

/// All pauses, by camera.
#[derive(Default)]
pub(super) struct Pauses(BTreeMap<CameraId, Place>);

/// One camera. What is wanted of it outlives its pipelines.
#[derive(Default)]
struct Place {
    orders: Orders,
    pause: Option<Pause>,
    in_use: Option<Use>,
}

struct Pause {
    by: String,
    since: Moment,
    until: Option<Moment>,
}

/// What a camera is used for instead of watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody is being enrolled in front of it.
    Enrolment,
    /// It is tried whether live people are told from pictures there.
    LivenessTest,
}

struct Use {
    purpose: Purpose,
    by: String,
    since: Moment,
    until: Moment,
    is_called_off: Arc<AtomicBool>,
}

/// Why a camera cannot be used for something else now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Occupied {
    /// It is paused.
    Paused,
    /// It is already used for something else.
    InUse(Purpose),
}

impl Purpose {
    fn pauses_for(self) -> PauseCause {
        match self {
            Self::Enrolment => PauseCause::Enrolment,
            Self::LivenessTest => PauseCause::LivenessTest,
        }
    }

    fn resumes_for(self) -> ResumeCause {
        match self {
            Self::Enrolment => ResumeCause::EnrolmentEnded,
            Self::LivenessTest => ResumeCause::TestEnded,
        }
    }

    fn state(self) -> CameraState {
        match self {
            Self::Enrolment => CameraState::Enrolling,
            Self::LivenessTest => CameraState::Testing,
        }
    }
}

impl Place {
    fn order(&self) -> Order {
        match (&self.pause, &self.in_use) {
            (Some(_), _) => Order::Rest,
            (None, Some(_)) => Order::LookOnly,
            (None, None) => Order::Watch,
        }
    }

    fn give_order(&self) {
        self.orders.give(self.order());
    }

    fn vacated(&mut self, camera: &CameraId, flag: &Arc<AtomicBool>) -> Option<EventKind> {
        let ended = self.in_use.take_if(|in_use| Arc::ptr_eq(&in_use.is_called_off, flag))?;
        self.give_order();
        let is_watching = self.pause.is_none();
        let (camera, why) = (camera.clone(), ended.purpose.resumes_for());
        is_watching.then_some(EventKind::CameraResumed { camera, why, by: None })
    }
}

impl Pauses {
    /// Makes a camera known by what gives its pipelines orders. To be called before anything else is asked about it.
    pub(super) fn meet(&mut self, camera: &CameraId, orders: &Orders) {
        if !self.0.contains_key(camera) {
            let place = Place { orders: orders.clone(), ..Place::default() };
            self.0.insert(camera.clone(), place);
        }
    }

    /// Whether a camera is paused.
    pub(super) fn is_paused(&self, camera: &CameraId) -> bool {
        self.0.get(camera).is_some_and(|place| place.pause.is_some())
    }

    /// Pauses a camera, or changes who wanted that and until when. What it was used for is called off. When this returns
    /// nobody is verified there any more.
    pub(super) fn pause(
        &mut self,
        camera: &CameraId,
        by: &str,
        until: Option<Moment>,
        clock: &dyn Clock,
    ) -> EventKind {
        let place = self.0.entry(camera.clone()).or_default();
        let now = clock.now();
        let since = place.pause.as_ref().map_or(now, |pause| pause.since);
        place.pause = Some(Pause { by: by.to_owned(), since, until });
        if let Some(in_use) = &place.in_use {
            in_use.is_called_off.store(true, Ordering::Release);
        }
        place.give_order();
        EventKind::CameraPaused {
            camera: camera.clone(),
            why: PauseCause::Asked,
            by: by.to_owned(),
            until: until.map(|until| clock.wall(until)),
        }
    }

    /// Ends the pause of a camera; `None` if there is none.
    pub(super) fn resume(&mut self, camera: &CameraId, by: &str) -> Option<EventKind> {
        let place = self.0.get_mut(camera)?;
        place.pause.take()?;
        place.give_order();
        let (camera, by) = (camera.clone(), Some(by.to_owned()));
        Some(EventKind::CameraResumed { camera, why: ResumeCause::Asked, by })
    }

    /// Ends the pauses whose time is over, and what takes longer than it may: that is called off.
    pub(super) fn resume_in_time(&mut self, now: Moment) -> Vec<EventKind> {
        let mut resumed = Vec::new();
        for (camera, place) in &mut self.0 {
            let is_over = |pause: &mut Pause| pause.until.is_some_and(|until| now >= until);
            if place.pause.take_if(is_over).is_some() {
                place.give_order();
                let (camera, why) = (camera.clone(), ResumeCause::TimeIsOver);
                resumed.push(EventKind::CameraResumed { camera, why, by: None });
            }
            let is_late = place.in_use.as_ref().filter(|in_use| now >= in_use.until);
            if let Some(flag) = is_late.map(|in_use| Arc::clone(&in_use.is_called_off)) {
                flag.store(true, Ordering::Release);
                resumed.extend(place.vacated(camera, &flag));
            }
        }
        resumed
    }

    /// Takes a camera for something else than watching. When this returns nobody is verified there any more. The flag says
    /// later whether it was called off.
    pub(super) fn occupy(
        &mut self,
        (camera, purpose): (&CameraId, Purpose),
        by: &str,
        until: Moment,
        clock: &dyn Clock,
    ) -> Result<(EventKind, Arc<AtomicBool>), Occupied> {
        let place = self.0.entry(camera.clone()).or_default();
        if place.pause.is_some() {
            return Err(Occupied::Paused);
        }
        if let Some(in_use) = &place.in_use {
            return Err(Occupied::InUse(in_use.purpose));
        }
        let is_called_off = Arc::new(AtomicBool::new(false));
        let (by, since) = (by.to_owned(), clock.now());
        place.in_use =
            Some(Use { purpose, by: by.clone(), since, until, is_called_off: Arc::clone(&is_called_off) });
        place.give_order();
        let (why, until) = (purpose.pauses_for(), Some(clock.wall(until)));
        Ok((EventKind::CameraPaused { camera: camera.clone(), why, by, until }, is_called_off))
    }

    /// Lets the use of this flag take longer. False if it is over, or was called off.
    pub(super) fn extend(&mut self, camera: &CameraId, flag: &Arc<AtomicBool>, until: Moment) -> bool {
        let in_use = self.0.get_mut(camera).and_then(|place| place.in_use.as_mut());
        let own =
            in_use.filter(|in_use| Arc::ptr_eq(&in_use.is_called_off, flag) && !flag.load(Ordering::Acquire));
        own.map(|in_use| in_use.until = until).is_some()
    }

    /// The use of this flag has ended. Nothing is to be said if another one goes on, or the camera is paused besides.
    pub(super) fn vacated(&mut self, camera: &CameraId, flag: &Arc<AtomicBool>) -> Option<EventKind> {
        self.0.get_mut(camera)?.vacated(camera, flag)
    }

    /// Puts into a camera's status what is paused there.
    pub(super) fn describe(&self, status: &mut CameraStatus, clock: &dyn Clock) {
        let Some(place) = self.0.get(&status.camera) else { return };
        let is_watching = status.state == CameraState::Watching;
        let (state, since, until, by) = match (&place.pause, &place.in_use) {
            (Some(Pause { by, since, until }), _) => (CameraState::Paused, since, *until, by),
            // One that is lost is lost for that too.
            (None, Some(Use { purpose, by, since, until, .. })) if is_watching => {
                (purpose.state(), since, Some(*until), by)
            }
            _ => return,
        };
        (status.state, status.since) = (state, clock.wall(*since));
        status.until = until.map(|until| clock.wall(until));
        status.message = Some(format!("by {by}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SimulatedClock;

    fn door() -> CameraId {
        CameraId::new("door").unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn names(events: &[EventKind]) -> Vec<&'static str> {
        events.iter().map(EventKind::name).collect()
    }

    fn met(camera: &CameraId) -> (Pauses, Orders) {
        let (mut pauses, orders) = (Pauses::default(), Orders::default());
        pauses.meet(camera, &orders);
        (pauses, orders)
    }

    #[test]
    fn a_pause_ends_by_itself_or_when_somebody_says_so() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (mut pauses, orders) = met(&door());
        let EventKind::CameraPaused { until, .. } = pauses.pause(&door(), "ada", Some(at(10)), &clock) else {
            panic!()
        };
        assert_eq!(until, Some(clock.wall(at(10))));
        assert_eq!(orders.current(), Order::Rest);
        assert_eq!(pauses.resume_in_time(at(9)), []);
        assert_eq!(names(&pauses.resume_in_time(at(10))), ["camera.resumed"]);
        assert_eq!(orders.current(), Order::Watch);
        assert_eq!(pauses.resume_in_time(at(11)), []);
        assert_eq!(pauses.resume(&door(), "bert"), None, "it is not paused");
        pauses.pause(&door(), "ada", None, &clock);
        assert_eq!(pauses.resume_in_time(at(1_000_000)), [], "it lasts until somebody resumes it");
        let EventKind::CameraResumed { by, why, .. } = pauses.resume(&door(), "bert").unwrap() else {
            panic!()
        };
        assert_eq!((by.as_deref(), why), (Some("bert"), ResumeCause::Asked));
        // A later pause counts from the first, and ends when it says.
        pauses.pause(&door(), "ada", Some(at(5)), &clock);
        pauses.pause(&door(), "bert", Some(at(50)), &clock);
        assert_eq!(pauses.resume_in_time(at(49)), []);
        assert_eq!(names(&pauses.resume_in_time(at(50))), ["camera.resumed"]);
    }

    #[test]
    fn enrolling_lets_nobody_in_and_a_pause_calls_it_off() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (mut pauses, orders) = met(&door());
        let (event, is_called_off) =
            pauses.occupy((&door(), Purpose::Enrolment), "ada", at(30), &clock).unwrap();
        assert!(matches!(event, EventKind::CameraPaused { why: PauseCause::Enrolment, .. }), "{event:?}");
        assert_eq!(orders.current(), Order::LookOnly);
        assert_eq!(
            pauses.occupy((&door(), Purpose::Enrolment), "bert", at(30), &clock).unwrap_err(),
            Occupied::InUse(Purpose::Enrolment)
        );
        assert!(!is_called_off.load(Ordering::Acquire));
        pauses.pause(&door(), "bert", None, &clock);
        assert!(is_called_off.load(Ordering::Acquire));
        assert_eq!(orders.current(), Order::Rest);
        assert_eq!(pauses.vacated(&door(), &is_called_off), None, "it is paused all the same");
        assert_eq!(
            pauses.occupy((&door(), Purpose::Enrolment), "ada", at(30), &clock).unwrap_err(),
            Occupied::Paused
        );
        pauses.resume(&door(), "bert").unwrap();
        let (_, flag) = pauses.occupy((&door(), Purpose::Enrolment), "ada", at(30), &clock).unwrap();
        assert_eq!(pauses.vacated(&door(), &is_called_off), None, "that was another one");
        assert_eq!(pauses.vacated(&door(), &flag).unwrap().name(), "camera.resumed");
        assert_eq!(orders.current(), Order::Watch);
        assert_eq!(pauses.vacated(&door(), &flag), None);
        // One that does not end by itself.
        let (_, flag) = pauses.occupy((&door(), Purpose::Enrolment), "ada", at(30), &clock).unwrap();
        assert_eq!(pauses.resume_in_time(at(29)), []);
        assert_eq!(names(&pauses.resume_in_time(at(30))), ["camera.resumed"]);
        assert!(flag.load(Ordering::Acquire));
        assert_eq!(orders.current(), Order::Watch);
    }

    #[test]
    fn a_test_goes_on_while_something_is_presented() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (mut pauses, orders) = met(&door());
        let test = (&door(), Purpose::LivenessTest);
        let (event, flag) = pauses.occupy(test, "ada", at(30), &clock).unwrap();
        assert!(matches!(event, EventKind::CameraPaused { why: PauseCause::LivenessTest, .. }), "{event:?}");
        assert_eq!(orders.current(), Order::LookOnly);
        let busy = pauses.occupy((&door(), Purpose::Enrolment), "bert", at(30), &clock).unwrap_err();
        assert_eq!(busy, Occupied::InUse(Purpose::LivenessTest));
        assert!(!pauses.extend(&door(), &Arc::default(), at(60)), "that is another one's");
        assert!(pauses.extend(&door(), &flag, at(60)));
        assert_eq!(pauses.resume_in_time(at(59)), []);
        let ended = pauses.resume_in_time(at(60));
        assert!(
            matches!(ended[..], [EventKind::CameraResumed { why: ResumeCause::TestEnded, .. }]),
            "{ended:?}"
        );
        assert!(flag.load(Ordering::Acquire));
        assert!(!pauses.extend(&door(), &flag, at(90)), "it is over");
        // Called off, it cannot be made longer either.
        let (_, flag) = pauses.occupy(test, "ada", at(30), &clock).unwrap();
        pauses.pause(&door(), "bert", None, &clock);
        assert!(!pauses.extend(&door(), &flag, at(90)));
    }

    #[test]
    fn one_camera_is_no_concern_of_another() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (door, yard) = (door(), CameraId::new("yard").unwrap());
        let (mut pauses, orders) = met(&yard);
        let of_door = Orders::default();
        pauses.meet(&door, &of_door);
        pauses.pause(&door, "ada", None, &clock);
        assert_eq!(orders.current(), Order::Watch);
        assert!(pauses.is_paused(&door) && !pauses.is_paused(&yard));
        assert_eq!(of_door.current(), Order::Rest);
    }
}
