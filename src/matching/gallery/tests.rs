use proptest::prelude::*;

use super::*;

const MODEL: ModelDigest = ModelDigest([1; 32]);

fn entry(name: &str, values: &[f32]) -> GalleryEntry {
    GalleryEntry {
        person: PersonId::new(name).unwrap(),
        template: Embedding::new(MODEL, values.to_vec()).unwrap(),
    }
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1.0_f32..1.0, 20)
        .prop_filter("a direction", |v| v.iter().map(|x| x * x).sum::<f32>() > 0.01)
}

proptest! {
    #[test]
    fn finds_what_a_plain_search_finds(
        templates in prop::collection::vec((0_usize..6, vector()), 0..30), probe in vector(), euclidean: bool,
    ) {
        let entries: Vec<_> = templates.iter().map(|(who, v)| entry(&format!("p{who}"), v)).collect();
        let metric = if euclidean { GalleryMetric::Euclidean } else { GalleryMetric::Cosine };
        let gallery = Gallery::new(MODEL, metric, 20, &entries);
        let probe = Embedding::new(MODEL, probe).unwrap();
        let mut by_person: std::collections::BTreeMap<PersonId, f32> = Default::default();
        for e in &entries {
            let score = if euclidean {
                (1.0 - probe.euclidean(&e.template).unwrap().powi(2) / 2.0).max(-1.0)
            } else {
                probe.cosine(&e.template).unwrap().value()
            };
            let best = by_person.entry(e.person.clone()).or_insert(-2.0);
            *best = best.max(score);
        }
        let mut expected: Vec<f32> = by_person.values().copied().collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        let found = gallery.rank(&probe).unwrap();
        prop_assert_eq!(found.best.is_some(), !expected.is_empty());
        prop_assert_eq!(found.second.is_some(), expected.len() > 1);
        for (candidate, score) in [&found.best, &found.second].into_iter().flatten().zip(expected) {
            prop_assert!((candidate.similarity.value() - score).abs() < 1e-4);
            prop_assert!((by_person[&candidate.person] - score).abs() < 1e-4);
        }
    }
}

/// Vectors among which many are alike, equal or opposite, of the lengths that models give or far from them.
fn alike(dimension: usize) -> impl Strategy<Value = Vec<f32>> {
    let base =
        (0_u8..3, prop::collection::vec(-1.0_f32..1.0, dimension), prop_oneof![Just(0.0_f32), 0.0_f32..1.0]);
    let length = prop_oneof![4 => Just(1.0_f32), 2 => 0.5_f32..2.0, 1 => Just(1e-12_f32), 1 => Just(3e5_f32), 1 => Just(-1.0_f32)];
    (base, length).prop_map(move |((which, noise, share), length)| {
        let value = |(n, noise): (usize, f32)| {
            let base =
                [(n as f32 * 0.7).sin(), (n as f32 * 1.3).cos(), f32::from(u8::from(n == 0))][which as usize];
            (base + share * noise + 1e-3) * length / (dimension as f32).sqrt()
        };
        noise.into_iter().enumerate().map(value).collect()
    })
}

/// Whose, and the numbers.
type Template = (usize, Vec<f32>);

/// Who is enrolled with what, and what is asked, with a number of dimensions.
fn enrolled() -> impl Strategy<Value = (usize, Vec<Template>, Vec<Vec<f32>>)> {
    prop_oneof![1_usize..40, Just(128), Just(512)].prop_flat_map(|dimension| {
        let people = prop::collection::vec((0_usize..9, alike(dimension)), 0..40);
        (Just(dimension), people, prop::collection::vec(alike(dimension), 1..4))
    })
}

/// A gallery of people with these rows, scaled to length 1.
fn numbered(rows: impl Iterator<Item = Vec<f32>>, euclidean: bool) -> Gallery {
    let scaled = |row| Embedding::scaled(MODEL, row).unwrap();
    let entries: Vec<_> =
        rows.enumerate().map(|(n, row)| entry(&format!("p{n}"), scaled(row).values())).collect();
    Gallery::new(MODEL, metric(euclidean), entries[0].template.values().len(), &entries)
}

fn check_both_ways(gallery: &Gallery, probe: &[f32]) -> Result<(), TestCaseError> {
    let probe = [Embedding::scaled(MODEL, probe.to_vec()).unwrap()];
    for kernel in Kernel::available() {
        let full = gallery.rank_with(&kernel, &probe, Scan::Full).unwrap();
        prop_assert_eq!(
            &full,
            &gallery.rank_with(&kernel, &probe, Scan::Rounded).unwrap(),
            "{}",
            kernel.name()
        );
    }
    Ok(())
}

fn metric(euclidean: bool) -> GalleryMetric {
    if euclidean { GalleryMetric::Euclidean } else { GalleryMetric::Cosine }
}

proptest! {
    #[test]
    fn rounded_rows_give_the_very_same_as_full_ones(
        (dimension, people, probes) in enrolled(), euclidean: bool,
    ) {
        let entries: Vec<_> = people.iter().map(|(who, v)| entry(&format!("p{who}"), v)).collect();
        let gallery = Gallery::new(MODEL, metric(euclidean), dimension, &entries);
        let probes: Vec<_> = probes.into_iter().map(|v| Embedding::new(MODEL, v).unwrap()).collect();
        for kernel in Kernel::available() {
            let full = gallery.rank_with(&kernel, &probes, Scan::Full).unwrap();
            let rounded = gallery.rank_with(&kernel, &probes, Scan::Rounded).unwrap();
            prop_assert_eq!(&full, &rounded, "{}", kernel.name());
            for (probe, expected) in probes.iter().zip(full) {
                let alone = gallery.rank_with(&kernel, std::slice::from_ref(probe), Scan::Rounded).unwrap();
                prop_assert_eq!(&alone, &[expected]);
            }
        }
    }

    #[test]
    fn what_rounding_swaps_is_put_right(
        (nearly_equal, pairs) in (8_usize..24).prop_flat_map(|n| (
            prop::collection::vec(prop::collection::vec(0.8_f32..1.0, n), 30),
            prop::collection::vec((0..n, 1..n), 30),
        )),
        euclidean: bool,
    ) {
        let n = nearly_equal[0].len();
        // Numbers that are all equal but for their signs lose nothing when they are rounded. So here the rows do not, and
        // the probe does: it is compared with rows that differ from it in the signs of two numbers.
        let signs = |(one, on): &(usize, usize)| -> Vec<f32> {
            (0..n).map(|at| if at == *one || at == (one + on) % n { -1.0 } else { 1.0 }).collect()
        };
        check_both_ways(&numbered(pairs.iter().map(signs), euclidean), &nearly_equal[0])?;
        // And here the probe does not.
        check_both_ways(&numbered(nearly_equal.into_iter(), euclidean), &vec![1.0; n])?;
    }

    #[test]
    fn changes_one_by_one_come_to_the_same_as_all_at_once(
        changes in prop::collection::vec((0_usize..30, prop::collection::vec(vector(), 0..5), any::<bool>()), 1..60),
        probe in vector(),
    ) {
        let empty = Gallery::new(MODEL, GalleryMetric::Cosine, 20, &[]);
        let other = Embedding::new(ModelDigest([2; 32]), vec![1.0; 20]).unwrap();
        let mut gallery = empty.clone();
        let mut expected: std::collections::BTreeMap<PersonId, Vec<Embedding>> = Default::default();
        for (who, templates, is_other) in changes {
            let person = PersonId::new(&format!("p{who}")).unwrap();
            let mut templates: Vec<_> = templates.into_iter().map(|v| Embedding::new(MODEL, v).unwrap()).collect();
            if templates.is_empty() {
                gallery = gallery.without(&person);
                expected.remove(&person);
                continue;
            }
            templates.extend(is_other.then(|| other.clone()));
            gallery = gallery.with(&person, &templates);
            expected.insert(person, templates);
        }
        let entries: Vec<_> = expected
            .into_iter()
            .flat_map(|(person, all)| all.into_iter().map(move |template| GalleryEntry { person: person.clone(), template }))
            .collect();
        let at_once = Gallery::new(MODEL, GalleryMetric::Cosine, 20, &entries);
        let figures = |g: &Gallery| (g.people(), g.templates(), g.skipped(), g.digest());
        prop_assert_eq!(figures(&gallery), figures(&at_once));
        let probe = Embedding::new(MODEL, probe).unwrap();
        prop_assert_eq!(gallery.rank(&probe).unwrap(), at_once.rank(&probe).unwrap());
    }
}

/// A gallery of `people` with `each` templates each, in two dimensions, at different angles.
fn circle(people: usize, each: usize) -> Gallery {
    let angle = |n: usize| n as f32 / (people * each) as f32 * std::f32::consts::TAU;
    let entries: Vec<_> = (0..people * each)
        .map(|n| entry(&format!("{:05}", n / each), &[angle(n).cos(), angle(n).sin()]))
        .collect();
    Gallery::new(MODEL, GalleryMetric::Cosine, 2, &entries)
}

#[test]
fn galleries_of_many_blocks_are_changed_and_searched() {
    let gallery = circle(2000, 3);
    assert_eq!((gallery.people(), gallery.templates(), gallery.blocks.len()), (2000, 6000, 6));
    let person = |n: usize| PersonId::new(&format!("{n:05}")).unwrap();
    let at = |n: f32| {
        let angle = n / 2000.0 * std::f32::consts::TAU;
        Embedding::new(MODEL, vec![angle.cos(), angle.sin()]).unwrap()
    };
    for n in [0, 341, 1999] {
        let probe = at(n as f32 + 0.3);
        let best = |gallery: &Gallery| gallery.rank(&probe).unwrap().best.unwrap().person;
        assert_eq!(best(&gallery), person(n));
        let without = gallery.without(&person(n));
        assert_ne!(best(&without), person(n));
        assert_eq!((without.people(), without.templates()), (1999, 5997));
        let back = without.with(&person(n), &[at(n as f32), at(n as f32 + 0.3)]);
        assert_eq!((best(&back), back.templates()), (person(n), 5999));
        assert_eq!(best(&gallery), person(n), "the one before is as it was");
    }
    // All of a block's people more, so that it must be split, and then nearly everybody gone.
    let mut gallery = gallery;
    for n in 0..1200 {
        gallery = gallery.with(&PersonId::new(&format!("00500 {n}")).unwrap(), &[at(n as f32)]);
    }
    assert!(gallery.blocks.iter().all(|block| block.len() <= TEMPLATES));
    for n in (0..2000).filter(|n| n % 100 != 0) {
        gallery = gallery.without(&person(n));
    }
    assert_eq!((gallery.people(), gallery.templates()), (1220, 1260));
    assert!(gallery.blocks.len() <= 6, "{} small blocks were left", gallery.blocks.len());
    assert_eq!(gallery.rank(&at(1700.2)).unwrap().best.unwrap().person, person(1700));
}

#[test]
fn a_change_copies_one_block_and_shares_the_others() {
    let gallery = circle(3000, 2);
    let changed =
        gallery.with(&PersonId::new("01500").unwrap(), &[Embedding::new(MODEL, vec![1.0, 0.0]).unwrap()]);
    let shared = changed.blocks.iter().filter(|new| gallery.blocks.iter().any(|old| Arc::ptr_eq(new, old)));
    assert_eq!((shared.count(), changed.blocks.len()), (gallery.blocks.len() - 1, gallery.blocks.len()));
}

#[test]
fn somebody_with_more_templates_than_a_block_holds_has_one_of_their_own() {
    let (many, ann) = (PersonId::new("Many").unwrap(), PersonId::new("Ann").unwrap());
    let templates: Vec<_> =
        (0..TEMPLATES + 10).map(|n| Embedding::new(MODEL, vec![1.0, n as f32]).unwrap()).collect();
    let gallery = circle(700, 2).with(&many, &templates).with(&ann, &templates[..2]);
    assert_eq!((gallery.people(), gallery.templates()), (702, 1400 + TEMPLATES + 12));
    let ranking = gallery.rank(&templates[0]).unwrap();
    assert_ne!(ranking.best.unwrap().person, ranking.second.unwrap().person);
    assert_eq!(gallery.without(&many).templates(), 1402);
}

#[test]
fn groups_go_with_the_person_and_do_not_come_back() {
    let (ann, staff) = (PersonId::new("Ann").unwrap(), GroupId::new("staff").unwrap());
    let template = [Embedding::new(MODEL, vec![1.0, 0.0]).unwrap()];
    let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 2, &[entry("Ann", &[1.0, 0.0])])
        .with_groups([(ann.clone(), vec![staff.clone()])]);
    assert_eq!(gallery.groups_of(&ann), std::slice::from_ref(&staff));
    assert_eq!(gallery.with(&ann, &template).groups_of(&ann), std::slice::from_ref(&staff));
    let again = gallery.without(&ann).with(&ann, &template);
    assert_eq!(again.groups_of(&ann), &[], "another Ann must not be let in by the groups of the first");
    assert!(again.groups.is_empty());
    assert_eq!(again.with_groups_of(&ann, vec![staff.clone()]).groups_of(&ann), [staff]);
    assert!(gallery.with_groups_of(&ann, vec![]).groups.is_empty());
}

#[test]
fn lengths_beyond_the_range_of_squares_are_searched() {
    let entries = [entry("Small", &[1e-30, 0.0]), entry("Large", &[0.0, 1e30])];
    let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 2, &entries);
    for (scan, probe) in [(Scan::Full, [1e-25, 1e-26]), (Scan::Rounded, [1e25, 1e24])] {
        let probe = Embedding::new(MODEL, probe.to_vec()).unwrap();
        let found = gallery.rank_all(&[probe], scan).unwrap().remove(0);
        assert_eq!(found.best.as_ref().unwrap().person.as_str(), "Small");
        assert!((found.best.unwrap().similarity.value() - 0.995).abs() < 1e-3);
        assert!((found.second.unwrap().similarity.value() - 0.0995).abs() < 1e-3);
    }
    let gallery = Gallery::new(MODEL, GalleryMetric::Euclidean, 2, &entries);
    for scan in [Scan::Full, Scan::Rounded] {
        let probe = Embedding::new(MODEL, vec![1.0, 0.0]).unwrap();
        let found = gallery.rank_all(&[probe], scan).unwrap().remove(0);
        assert_eq!(found.best.unwrap().person.as_str(), "Small");
        assert_eq!(found.second.unwrap().similarity.value(), -1.0);
    }
}

#[test]
fn rounding_leaves_few_rows_to_be_compared_in_full() {
    let mut seed = 1_u32;
    let mut number = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut vector = || (0..128).map(|_| number()).collect::<Vec<f32>>();
    let entries: Vec<_> = (0..3000).map(|n| entry(&format!("{n:05}"), &vector())).collect();
    let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 128, &entries);
    for n in 0..20 {
        let noise = vector();
        let values = entries[n * 100].template.values().iter().zip(noise).map(|(x, y)| x + 0.7 * y).collect();
        let compared = gallery.compared_in_full(&Embedding::new(MODEL, values).unwrap()).unwrap();
        assert!((2..100).contains(&compared), "{compared} of 3000 rows");
    }
}

#[test]
fn templates_of_another_model_are_counted_and_not_searched() {
    let mut other = entry("eve", &[1.0, 0.0]);
    other.template = Embedding::new(ModelDigest([2; 32]), vec![1.0, 0.0]).unwrap();
    let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 2, &[other.clone(), entry("ann", &[0.0, 1.0])]);
    assert_eq!((gallery.people(), gallery.templates(), gallery.skipped()), (1, 1, 1));
    assert!(gallery.rank(&other.template).is_err());
}

#[test]
fn nobody_enrolled_is_nobody_found() {
    let gallery = Gallery::new(MODEL, GalleryMetric::Cosine, 2, &[]);
    let probe = Embedding::new(MODEL, vec![1.0, 0.0]).unwrap();
    assert_eq!(gallery.rank(&probe).unwrap(), Ranking::default());
}

#[test]
fn the_digest_tells_people_and_templates_apart() {
    let gallery = |entries: &[GalleryEntry]| Gallery::new(MODEL, GalleryMetric::Cosine, 2, entries);
    let ann = gallery(&[entry("Ann", &[1.0, 0.0])]).digest();
    assert_eq!(ann, gallery(&[entry("Ann", &[2.0, 0.0])]).digest(), "rows are of length 1");
    for other in [
        gallery(&[]),
        gallery(&[entry("Anna", &[1.0, 0.0])]),
        gallery(&[entry("Ann", &[0.0, 1.0])]),
        gallery(&[entry("Ann", &[1.0, 0.0]), entry("Ann", &[1.0, 0.0])]),
        gallery(&[entry("Ann", &[1.0, 0.0]), entry("Bert", &[1.0, 0.0])]),
    ] {
        assert_ne!(ann, other.digest());
    }
}
