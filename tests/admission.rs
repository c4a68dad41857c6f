//! Who may be let in when: people with particulars at a door, under a clock that stands still.

use facewarden::clock::WallTime;
use facewarden::domain::{Consent, EventKind, Particulars, PersonId, Reason, SiteRules};
use facewarden::matching::{SharedGallery, Standings};

use super::support::{ANN, BERT, Beat, Door, gallery, scene};

fn at(text: &str) -> WallTime {
    WallTime(text.parse().unwrap())
}

/// A door with Ann and Bert, of whom Ann has these particulars. It is Thursday, 1 January 1970, in Greenwich.
fn door(rules: SiteRules, ann: Particulars) -> Door {
    let standings = Standings::new(rules, [(PersonId::new("Ann").unwrap(), ann)]);
    let people = gallery(&[("Ann", ANN), ("Bert", BERT)]).with_standings(standings);
    Door { gallery: SharedGallery::new(people), ..Door::new() }
}

/// Both come, one after the other, at this second.
fn visits(second: u64) -> Vec<Beat> {
    let ms = second * 1000;
    let all = [
        scene(ms, ms + 1000, &[(ANN, 10)]),
        scene(ms + 1000, ms + 2000, &[]),
        scene(ms + 2000, ms + 3000, &[(BERT, 10)]),
        scene(ms + 3000, ms + 4000, &[]),
    ];
    all.into_iter().flatten().collect()
}

fn check(door: Door, seconds: &[u64], expected: &[&str]) -> Vec<facewarden::domain::Event> {
    let heard = door.replay(seconds.iter().flat_map(|second| visits(*second)).collect());
    assert_eq!(heard.lines(), expected);
    heard.events()
}

#[test]
fn what_was_granted_begins_and_ends_on_time() {
    let mut ann = Particulars { display_name: Some("Dr. Ann".into()), ..Particulars::default() };
    ann.admission.valid_from = Some(at("1970-01-01T00:01:00Z"));
    ann.admission.valid_until = Some(at("1970-01-01T00:02:00Z"));
    let events = check(
        door(SiteRules::default(), ann),
        &[30, 90, 150],
        &[
            "30.3 rejected Ann NotYetValid",
            "32.3 verified Bert",
            "90.3 verified Ann",
            "92.3 verified Bert",
            "150.3 rejected Ann Expired",
            "152.3 verified Bert",
        ],
    );
    let called = |at: usize| events[at].kind.detail().unwrap().display_name.clone();
    assert_eq!(called(2).as_deref(), Some("Dr. Ann"));
    assert_eq!((called(0), called(1)), (None, None), "nobody is greeted who is not let in");
    let EventKind::Rejected { person, reason, detail } = &events[4].kind else { panic!() };
    assert_eq!((person.as_ref().unwrap().as_str(), *reason), ("Ann", Reason::Expired));
    assert!(detail.similarity.unwrap().value() > 0.999 && detail.agreeing == detail.observations);
    assert!(!events[4].is_grant());
}

#[test]
fn a_schedule_holds_by_the_clock_of_its_zone() {
    let mut ann = Particulars::default();
    // In Berlin it is one o'clock.
    ann.admission.schedule = Some("Thu 01:01-01:02; Europe/Berlin".parse().unwrap());
    let expected = [
        "58.3 rejected Ann OffSchedule",
        "60.3 verified Bert",
        "70.3 verified Ann",
        "72.3 verified Bert",
        "121.3 rejected Ann OffSchedule",
        "123.3 verified Bert",
    ];
    check(door(SiteRules::default(), ann.clone()), &[58, 70, 121], &expected);
    let holidays = vec!["1970-01-01".parse().unwrap()];
    let rules = SiteRules { holidays, ..SiteRules::default() };
    check(door(rules, ann.clone()), &[70], &["70.3 rejected Ann OffSchedule", "72.3 verified Bert"]);
    ann.admission.schedule.as_mut().unwrap().time_zone = "Mars/Olympus".into();
    let expected = ["70.3 rejected Ann TimeZoneUnknown", "72.3 verified Bert"];
    check(door(SiteRules::default(), ann), &[70], &expected);
}

#[test]
fn consent_ends_and_is_asked_for_where_the_site_says_so() {
    let consent = Consent {
        by: "Ann".into(),
        purpose: "door access".into(),
        given: at("1960-01-01T00:00:00Z"),
        until: Some(at("1970-01-01T00:01:00Z")),
    };
    let ann = Particulars { consent: Some(consent), ..Particulars::default() };
    let expected =
        ["30.3 verified Ann", "32.3 verified Bert", "90.3 rejected Ann ConsentEnded", "92.3 verified Bert"];
    check(door(SiteRules::default(), ann.clone()), &[30, 90], &expected);
    let rules = SiteRules { requires_consent: true, ..SiteRules::default() };
    check(door(rules, ann), &[30], &["30.3 verified Ann", "32.3 rejected Bert NoConsent"]);
}

#[test]
fn in_shadow_mode_they_are_rejected_as_well() {
    let mut ann = Particulars::default();
    ann.admission.valid_until = Some(at("1970-01-01T00:00:00Z"));
    let heard = Door { is_shadow: true, ..door(SiteRules::default(), ann) }.replay(visits(30));
    let names: Vec<&str> = heard.events().iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["match.rejected", "match.shadow"]);
}
