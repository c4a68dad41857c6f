use super::*;

fn at(text: &str) -> WallTime {
    WallTime(text.parse().unwrap())
}

fn consent(given: &str, until: Option<&str>) -> Consent {
    Consent { by: "Ann".into(), purpose: "door access".into(), given: at(given), until: until.map(at) }
}

fn valid(from: Option<&str>, until: Option<&str>) -> Particulars {
    let admission = Admission { valid_from: from.map(at), valid_until: until.map(at), schedule: None };
    Particulars { admission, ..Particulars::default() }
}

const ANY: SiteRules = SiteRules { requires_consent: false, holidays: Vec::new() };
const CONSENTING: SiteRules = SiteRules { requires_consent: true, holidays: Vec::new() };

#[test]
fn whoever_nothing_is_known_of_may_always_be_let_in_unless_the_site_asks_for_consent() {
    let now = at("2026-11-26T10:00:00Z");
    assert_eq!(Particulars::default().barred_at(now, &ANY), None);
    assert_eq!(Particulars::default().barred_at(now, &CONSENTING), Some(Barred::NoConsent));
}

#[test]
fn validity_begins_with_its_first_moment_and_ends_with_its_last() {
    let (from, until) = ("2026-11-26T10:00:00Z", "2026-11-26T12:00:00Z");
    let contractor = valid(Some(from), Some(until));
    for (time, barred) in [
        ("2026-11-26T09:59:59.999Z", Some(Barred::NotYetValid)),
        (from, None),
        ("2026-11-26T11:59:59.999Z", None),
        (until, Some(Barred::Expired)),
        ("2999-01-01T00:00:00Z", Some(Barred::Expired)),
    ] {
        assert_eq!(contractor.barred_at(at(time), &ANY), barred, "{time}");
    }
}

#[test]
fn consent_ends_and_has_to_be_given_where_it_is_asked_for() {
    let with = |given, until| Particulars { consent: Some(consent(given, until)), ..Particulars::default() };
    let ending = with("2026-01-01T00:00:00Z", Some("2026-11-26T12:00:00Z"));
    for site in [&ANY, &CONSENTING] {
        assert_eq!(ending.barred_at(at("2026-11-26T11:59:59Z"), site), None);
        assert_eq!(ending.barred_at(at("2026-11-26T12:00:00Z"), site), Some(Barred::ConsentEnded));
    }
    let future = with("2027-01-01T00:00:00Z", None);
    assert_eq!(future.barred_at(at("2026-11-26T12:00:00Z"), &CONSENTING), Some(Barred::NoConsent));
    assert_eq!(future.barred_at(at("2026-11-26T12:00:00Z"), &ANY), None);
    assert_eq!(future.barred_at(at("2027-01-01T00:00:00Z"), &CONSENTING), None);
}

#[test]
fn a_schedule_bars_outside_its_hours_and_where_its_zone_is_not_known() {
    let schedule: Schedule = "Thu 10:00-12:00; UTC".parse().unwrap();
    let mut cleaner = Particulars::default();
    cleaner.admission.schedule = Some(schedule);
    assert_eq!(cleaner.barred_at(at("2026-11-26T10:00:00Z"), &ANY), None);
    assert_eq!(cleaner.barred_at(at("2026-11-26T12:00:00Z"), &ANY), Some(Barred::OffSchedule));
    let holiday = SiteRules { holidays: vec!["2026-11-26".parse().unwrap()], ..SiteRules::default() };
    assert_eq!(cleaner.barred_at(at("2026-11-26T10:00:00Z"), &holiday), Some(Barred::OffSchedule));
    cleaner.admission.schedule.as_mut().unwrap().time_zone = "Atlantis/Capital".to_owned();
    assert_eq!(cleaner.barred_at(at("2026-11-26T10:00:00Z"), &ANY), Some(Barred::TimeZoneUnknown));
    cleaner.admission.valid_until = Some(at("2026-01-01T00:00:00Z"));
    assert_eq!(
        cleaner.barred_at(at("2026-11-26T10:00:00Z"), &ANY),
        Some(Barred::Expired),
        "the first reason"
    );
}

#[test]
fn texts_have_a_length_and_no_control_characters() {
    let called =
        |name: &str| Particulars { display_name: Some(name.into()), ..Particulars::default() }.check();
    let noted = |notes: &str| Particulars { notes: Some(notes.into()), ..Particulars::default() }.check();
    assert_eq!(called("Dr. Ann Müller"), Ok(()));
    assert_eq!(called(&"x".repeat(128)), Ok(()));
    let (what, most) = ("display name", 128);
    assert_eq!(called(&"x".repeat(129)), Err(InvalidParticulars::TooLong { what, most, bytes: 129 }));
    for blank in ["", " ", " Ann", "Ann\n"] {
        assert_eq!(called(blank), Err(InvalidParticulars::Blank(what)), "{blank:?}");
    }
    assert_eq!(called("a\u{1b}[2Jb"), Err(InvalidParticulars::ControlCharacter(what)));
    assert_eq!(noted("first line\nsecond line"), Ok(()));
    assert_eq!(noted(&"x".repeat(4096)), Ok(()));
    assert!(noted(&"x".repeat(4097)).is_err() && noted("a\u{1b}[2Jb").is_err());
    let id = Particulars { external_id: Some("4\t7".into()), ..Particulars::default() };
    assert!(id.check().is_err());
    let mut agreed = Particulars {
        consent: Some(consent("2026-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z"))),
        ..Particulars::default()
    };
    assert_eq!(agreed.check(), Ok(()));
    agreed.consent.as_mut().unwrap().purpose = "x".repeat(257);
    assert!(agreed.check().is_err());
    agreed.consent = Some(Consent { by: String::new(), ..consent("2026-01-01T00:00:00Z", None) });
    assert!(agreed.check().is_err());
}

#[test]
fn what_ends_before_it_begins_is_refused() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(valid(Some(early), Some(late)).check(), Ok(()));
    for (from, until) in [(late, early), (early, early)] {
        let (from, until) = (Some(from), Some(until));
        let named = InvalidParticulars::Order { from: "valid-from", until: "valid-until" };
        assert_eq!(valid(from, until).check(), Err(named));
    }
    let backwards = Particulars { consent: Some(consent(late, Some(early))), ..Particulars::default() };
    assert!(backwards.check().is_err());
}

#[test]
fn a_value_is_written_in_one_way_and_read_as_it_was() {
    assert_eq!(serde_json::to_string(&Particulars::default()).unwrap(), "{}");
    let mut all = Particulars {
        display_name: Some("Ann".into()),
        external_id: Some("4711".into()),
        notes: Some("new".into()),
        consent: Some(consent("2026-01-01T00:00:00.123456Z", Some("2027-01-01T00:00:00.5Z"))),
        ..valid(Some("2026-01-01T00:00:00.999999Z"), Some("2027-01-01T00:00:00Z"))
    };
    all.admission.schedule = Some("Mon 07:00-08:00; UTC; not 2026-12-25".parse().unwrap());
    let read = |json: &str| serde_json::from_str::<Particulars>(json).unwrap();
    let json = serde_json::to_string(&all).unwrap();
    assert_ne!(read(&json), all, "more than milliseconds are not written");
    let all = all.to_milliseconds();
    assert_eq!(serde_json::to_string(&all).unwrap(), json);
    assert_eq!(read(&json), all);
    assert!(serde_json::from_str::<Particulars>(r#"{"display":"Ann"}"#).is_err());
}
