//! The search over galleries of up to a million templates: how long it takes, whether rounded rows give what full ones
//! do, what a change costs; and another program on the same galleries, in turn with this one.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use super::super::exit::{Exit, Failure, OrExit};
use super::speed::{megabytes, milliseconds};
use super::{Row, median};
use crate::domain::{Embedding, ModelDigest, PersonId};
use crate::matching::{Gallery, GalleryEntry, GalleryMetric, Scan, SharedGallery, kernel};
use crate::sys::process::{resident_bytes, thread_cpu_time};
use crate::sys::thread;

const DIMENSION: usize = 512;
const MODEL: ModelDigest = ModelDigest([0; 32]);
/// Probes whose results are compared.
const PROBES: usize = 10_000;
/// Probes that are searched together, where it is the result that counts: more do not fit into the cache.
const TOGETHER: usize = 100;
const CHANGES: usize = 50;
/// Where rounded rows begin to pay.
const SMALL: [usize; 4] = [16, 32, 64, 128];

pub(super) fn measure(sizes: &[u32], peer: Option<&Path>) -> Result<Vec<Row>, Failure> {
    let mut rows = vec![Row::new("search: kernel on this machine", kernel(), "")];
    rows.push(small_galleries()?);
    for size in sizes {
        rows.extend(gallery_of(*size as usize, peer)?);
    }
    Ok(rows)
}

fn small_galleries() -> Result<Row, Failure> {
    let mut figures = Vec::new();
    for size in SMALL {
        let Made { gallery, probes, .. } = made(size, None)?;
        let mut times = [Vec::new(), Vec::new()];
        for (n, probe) in probes.iter().take(2000).enumerate() {
            let scan = [Scan::Full, Scan::Rounded][n % 2];
            times[n % 2].push(timed(|| gallery.rank_all(std::slice::from_ref(probe), scan)).0);
        }
        let [full, rounded] = times.map(median);
        figures.push(format!("{:.1} / {:.1} us", full * 1000.0, rounded * 1000.0));
    }
    Ok(Row::new(
        &format!("one search in small galleries of {SMALL:?} templates x {DIMENSION}, f32 / rounded"),
        figures.join(", "),
        "",
    ))
}

fn gallery_of(size: usize, peer: Option<&Path>) -> Result<Vec<Row>, Failure> {
    eprintln!("measuring: a gallery of {size} templates");
    let what = |what: &str| format!("{size} templates x {DIMENSION}: {what}");
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let before = resident_bytes().unwrap_or(0);
    let Made { gallery, load_ms, probes } = made(size, peer.map(|_| folder.path()))?;
    let resident = resident_bytes().unwrap_or(0).saturating_sub(before);
    let mut peer = peer.map(|program| Peer::start(program, folder.path(), size)).transpose()?;

    let mut rows = in_turn(&gallery, &probes, peer.as_mut(), &what)?;
    drop(peer);
    let mut compared = Vec::new();
    for probe in probes.iter().step_by(PROBES / 100) {
        compared.push(gallery.compared_in_full(probe).or_exit(Exit::Internal)? as f64);
    }
    let most = compared.iter().copied().fold(0.0, f64::max);
    rows.push(Row::new(
        &what("templates compared in full where rounded ones are searched, median / most of 100"),
        format!("{:.0} / {most:.0}", median(compared)),
        "",
    ));
    let gallery = Arc::new(gallery);
    let (equal, all) = equal_results(&gallery, probes)?;
    rows.push(Row::new(
        &what("probes for which rounded and f32 give the same two best people with the same scores"),
        format!("{equal} of {all}"),
        "all",
    ));
    rows.extend(changes(&gallery, &what)?);
    rows.push(Row::new(&what("made ready to be searched"), format!("{load_ms:.0} ms CPU"), ""));
    rows.push(Row::new(
        &what("memory of a template, and resident with what the allocator keeps of the making"),
        format!("{} bytes, {}", gallery.bytes() / size, megabytes(resident)),
        "",
    ));
    Ok(rows)
}

struct Made {
    gallery: Gallery,
    load_ms: f64,
    probes: Vec<Embedding>,
}

/// A gallery of random templates of one person each, and probes: every other one resembles a template, from hardly to
/// very much. With a folder, both are also written there for the peer.
fn made(size: usize, folder: Option<&Path>) -> Result<Made, Failure> {
    let mut random = Random(1);
    let mut entries = Vec::with_capacity(size);
    for n in 0..size {
        let person = PersonId::new(&format!("person {n:08}")).or_exit(Exit::Internal)?;
        let template = Embedding::new(MODEL, random.unit_vector()).or_exit(Exit::Internal)?;
        entries.push(GalleryEntry { person, template });
    }
    let mut probes = Vec::with_capacity(PROBES);
    for n in 0..PROBES {
        let mut values = random.unit_vector();
        if let Some(entry) = entries.get(n * 7919 % size).filter(|_| n % 2 == 0) {
            // A cosine of 0.2 to 0.98 between the two.
            let noise = [0.2, 0.5, 1.0, 2.0, 5.0][n / 2 % 5];
            values.iter_mut().zip(entry.template.values()).for_each(|(v, of)| *v = of + noise * *v);
        }
        probes.push(Embedding::scaled(MODEL, values).or_exit(Exit::Internal)?);
    }
    if let Some(folder) = folder {
        write(&folder.join("templates"), entries.iter().map(|entry| &entry.template))?;
        write(&folder.join("probes"), probes.iter())?;
    }
    let (load_ms, gallery) = timed(|| Gallery::new(MODEL, GalleryMetric::Cosine, DIMENSION, &entries));
    Ok(Made { gallery, load_ms, probes })
}

fn write<'a>(path: &Path, embeddings: impl Iterator<Item = &'a Embedding>) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path).or_exit(Exit::CannotWrite)?);
    for embedding in embeddings {
        let bytes: Vec<u8> = embedding.values().iter().flat_map(|v| v.to_le_bytes()).collect();
        file.write_all(&bytes).or_exit(Exit::CannotWrite)?;
    }
    file.flush().or_exit(Exit::CannotWrite)
}

/// One probe after the other, some by each contestant in turn, so that what else the machine does meets them alike.
fn in_turn(
    gallery: &Gallery,
    probes: &[Embedding],
    mut peer: Option<&mut Peer>,
    what: &impl Fn(&str) -> String,
) -> Result<Vec<Row>, Failure> {
    let (rounds, burst) = match gallery.templates() {
        0..20_000 => (40, 50),
        20_000..500_000 => (20, 10),
        _ => (12, 4),
    };
    let (mut full, mut rounded, mut theirs, mut agreed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..=rounds {
        let from = round * burst % (PROBES - burst);
        let mut found = Vec::new();
        for (scan, times) in [(Scan::Full, &mut full), (Scan::Rounded, &mut rounded)] {
            for probe in probes.iter().skip(from).take(burst) {
                let (time, result) = timed(|| gallery.rank_all(std::slice::from_ref(probe), scan));
                found.extend(result.or_exit(Exit::Internal)?.into_iter().filter_map(|ranking| ranking.best));
                times.push(time);
            }
        }
        if let Some(peer) = &mut peer {
            for ((time, index), best) in peer.search(from, burst)?.into_iter().zip(found) {
                theirs.push(time);
                agreed += usize::from(best.person.as_str() == format!("person {index:08}"));
            }
        }
        // The first round warms up.
        if round == 0 {
            [&mut full, &mut rounded, &mut theirs].into_iter().for_each(Vec::clear);
            agreed = 0;
        }
    }
    let count = theirs.len();
    let [full, rounded, theirs] = [full, rounded, theirs].map(median);
    let one = "one search, median: f32 / rounded";
    let Some(peer) = peer else {
        return Ok(vec![Row::new(&what(one), format!("{full:.4} / {rounded:.4} ms CPU"), "")]);
    };
    let name = &peer.name;
    Ok(vec![
        Row::new(
            &what(&format!("{one} / {name}, one thread each")),
            format!("{full:.4} / {rounded:.4} / {theirs:.4} ms CPU"),
            "",
        ),
        Row::new(
            &what(&format!("time of {name} over that of f32, and of rounded")),
            format!("{:.2}, {:.2}", theirs / full, theirs / rounded),
            "1, 2.5",
        ),
        Row::new(&what(&format!("{name} finds the same best")), format!("{agreed} of {count}"), "all"),
    ])
}

/// For how many probes both ways give the same, of how many.
fn equal_results(gallery: &Arc<Gallery>, probes: Vec<Embedding>) -> Result<(usize, usize), Failure> {
    let (probes, mut threads) = (Arc::new(probes), Vec::new());
    for part in 0..2 {
        let (gallery, probes) = (Arc::clone(gallery), Arc::clone(&probes));
        let work = move || -> Result<(usize, usize), Failure> {
            let (mut equal, mut all) = (0, 0);
            for probes in probes.chunks(TOGETHER).skip(part).step_by(2) {
                let full = gallery.rank_all(probes, Scan::Full).or_exit(Exit::Internal)?;
                let rounded = gallery.rank_all(probes, Scan::Rounded).or_exit(Exit::Internal)?;
                let is_found = full.iter().all(|ranking| ranking.best.is_some() && ranking.second.is_some());
                equal += full.iter().zip(&rounded).filter(|(a, b)| is_found && a == b).count();
                all += full.len();
            }
            Ok((equal, all))
        };
        threads.push(thread::spawn("compare", work).or_exit(Exit::Unavailable)?);
    }
    let mut sums = (0, 0);
    for thread in threads {
        let (equal, all) = thread.join().or_exit(Exit::Internal)??;
        sums = (sums.0 + equal, sums.1 + all);
    }
    Ok(sums)
}

/// Somebody is added, gets other templates, and is removed, in a gallery that others are searching.
fn changes(gallery: &Gallery, what: &impl Fn(&str) -> String) -> Result<Vec<Row>, Failure> {
    let (shared, mut random) = (SharedGallery::new(gallery.clone()), Random(2));
    let (mut added, mut replaced, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    let size = gallery.templates();
    for n in 0..CHANGES {
        let person = PersonId::new(&format!("person {:08} b", n * 7919 % size)).or_exit(Exit::Internal)?;
        let one = [Embedding::new(MODEL, random.unit_vector()).or_exit(Exit::Internal)?];
        let other = [Embedding::new(MODEL, random.unit_vector()).or_exit(Exit::Internal)?];
        added.push(timed(|| shared.replace(shared.current().with(&person, &one))).0);
        replaced.push(timed(|| shared.replace(shared.current().with(&person, &other))).0);
        removed.push(timed(|| shared.replace(shared.current().without(&person))).0);
    }
    if shared.current().templates() != size || shared.current().digest() != gallery.digest() {
        return Err(Failure::new(
            Exit::Internal,
            "after adding and removing people the gallery is another one",
        ));
    }
    let figures = [added, replaced, removed].map(|times| {
        let most = times.iter().copied().fold(0.0, f64::max);
        format!("{:.2} (most {most:.2})", median(times))
    });
    Ok(vec![Row::new(
        &what(&format!("one person added / replaced / removed, median of {CHANGES}")),
        format!("{} ms CPU", figures.join(" / ")),
        "5 ms",
    )])
}

/// Milliseconds of processor time that it took.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = thread_cpu_time();
    let done = std::hint::black_box(work());
    (milliseconds(thread_cpu_time().saturating_sub(started)), done)
}

/// Another program that searches the same. It is started with the files of templates and probes and the length of a row,
/// says its name in a line when it is ready, and answers `FROM COUNT` with a line for each of these probes: milliseconds of
/// processor time, and which row is the best.
struct Peer {
    name: String,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &Path, folder: &Path, size: usize) -> Result<Self, Failure> {
        eprintln!("measuring: {} takes {size} templates", program.display());
        let mut child = Command::new(program)
            .args([folder.join("templates"), folder.join("probes")])
            .arg(DIMENSION.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| anyhow::anyhow!("cannot start {}: {e}", program.display()))
            .or_exit(Exit::NoInput)?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new(Exit::Internal, "the peer has no pipes"));
        };
        let mut peer = Self { name: String::new(), child, asks, answers: BufReader::new(answers) };
        peer.name = peer.line()?;
        Ok(peer)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.answers.read_line(&mut line).or_exit(Exit::Unavailable)? {
            0 => Err(Failure::new(Exit::Unavailable, "the peer has ended; what it said is above")),
            _ => Ok(line.trim().to_owned()),
        }
    }

    /// Milliseconds and best row of each probe.
    fn search(&mut self, from: usize, count: usize) -> Result<Vec<(f64, usize)>, Failure> {
        writeln!(self.asks, "{from} {count}").or_exit(Exit::Unavailable)?;
        let mut found = Vec::new();
        for _ in 0..count {
            let line = self.line()?;
            let parsed =
                line.split_once(' ').and_then(|(ms, row)| Some((ms.parse().ok()?, row.parse().ok()?)));
            found.push(parsed.ok_or_else(|| Failure::new(Exit::Data, format!("the peer said: {line}")))?);
        }
        Ok(found)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The same numbers every time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A direction, all of them about equally likely: each number is the sum of four, and so nearly normal.
    fn unit_vector(&mut self) -> Vec<f32> {
        let number = |bits: u64| {
            let sum = [0, 16, 32, 48].map(|shift| (bits >> shift) & 0xFFFF).iter().sum::<u64>();
            sum as f32 - 131_070.0
        };
        let values: Vec<f32> = (0..DIMENSION).map(|_| number(self.next())).collect();
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        values.into_iter().map(|v| v / length).collect()
    }
}
