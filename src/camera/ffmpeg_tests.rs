//! Tests of the ffmpeg source, most of them with a real ffmpeg.

use super::*;
use crate::clock::SystemClock;
use crate::config::Speed;
use crate::vision::decode::decode;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The ffmpeg that `./setup` fetches, or the one the environment names.
fn ffmpeg() -> OsString {
    std::env::var_os(COMMAND_VARIABLE).unwrap_or_else(|| {
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("vendor/ffmpeg");
        assert!(fetched.is_file(), "no ffmpeg for the tests: run ./setup, or set {COMMAND_VARIABLE}");
        fetched.into()
    })
}

/// One second of ffmpeg's test picture; `options` say how it is coded.
fn clip(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let output = Command::new(ffmpeg())
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=321x240:rate=20:duration=1",
        ])
        .args(options)
        .arg(format!("file:{}", path.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn camera(source: &str) -> Camera {
    Camera { speed: Speed::Max, ..Camera::new(CameraId::new("test").unwrap(), source.to_owned()) }
}

fn open_real(camera: &Camera) -> Result<Box<dyn FrameSource>, SourceError> {
    open_with(ffmpeg(), camera, Arc::new(SystemClock::new()))
}

const PATIENCE: Duration = Duration::from_secs(20);

fn message(result: Result<Box<dyn FrameSource>, SourceError>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(source) => panic!("{} should not open", source.describe()),
    }
}

/// A stand-in for ffmpeg: a shell script.
fn script(folder: &Path, text: &str) -> OsString {
    let path = folder.join("stand-in");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}

fn open_script(folder: &Path, text: &str, source: &str) -> Result<Box<dyn FrameSource>, SourceError> {
    open_with(script(folder, text), &camera(source), Arc::new(SystemClock::new()))
}

#[test]
fn a_video_file_is_played_whole_and_again() {
    let folder = tempfile::tempdir().unwrap();
    // A name that would be an option, and then a protocol.
    let path = clip(folder.path(), "-i concat:x.mkv", &["-pix_fmt", "yuv420p", "-c:v", "ffv1"]);
    let mut source = open_real(&Camera { loops: 2, ..camera(path.to_str().unwrap()) }).unwrap();
    assert!(source.is_finite());
    assert!(source.describe().ends_with("by ffmpeg, 320x240, 20.000 fps"), "{}", source.describe());
    let mut start = None;
    for number in 0..40_u32 {
        let frame = source.next_frame(PATIENCE).unwrap();
        let start = *start.get_or_insert(frame.captured_at);
        assert_eq!(frame.seq, u64::from(number));
        let age = frame.captured_at.since(start);
        assert!(age.abs_diff(number * Duration::from_millis(50)) < Duration::from_micros(10), "{age:?}");
        assert_eq!(decode(frame.payload).unwrap().dimensions(), (320, 240));
    }
    assert!(matches!(source.next_frame(PATIENCE), Err(SourceError::Ended)));
    assert!(matches!(source.next_frame(PATIENCE), Err(SourceError::Ended)));
}

/// Red comes out as red from limited and from full range.
#[test]
fn colours_survive_whatever_the_range() {
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("limited.mkv", ["-vf", "drawbox=color=red:t=fill,format=yuv420p", "-c:v", "ffv1"]),
        ("full.avi", ["-vf", "drawbox=color=red:t=fill,format=yuvj420p", "-c:v", "mjpeg"]),
    ] {
        let path = clip(folder.path(), name, &options);
        let mut source = open_real(&camera(path.to_str().unwrap())).unwrap();
        let picture = decode(source.next_frame(PATIENCE).unwrap().payload).unwrap();
        let [r, g, b] = picture.get_pixel(100, 100).0;
        assert!(r > 245 && g < 12 && b < 12, "{name}: {r} {g} {b}");
    }
}

#[test]
fn in_real_time_it_takes_its_time_and_skips_what_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "clip.mkv", &["-pix_fmt", "yuv420p", "-c:v", "ffv1"]);
    let clock = Arc::new(SystemClock::new());
    let camera = Camera { speed: Speed::Real, ..camera(path.to_str().unwrap()) };
    let mut source = open_with(ffmpeg(), &camera, clock.clone()).unwrap();
    let first = source.next_frame(PATIENCE).unwrap();
    clock.sleep(Duration::from_millis(330));
    let late = source.next_frame(PATIENCE).unwrap();
    assert!(late.seq >= 6, "{}", late.seq);
    let mut frames = 2;
    while source.next_frame(PATIENCE).is_ok() {
        frames += 1;
    }
    assert!(frames < 20, "{frames}");
    assert!(clock.now().since(first.captured_at) >= Duration::from_millis(900));
}

#[test]
fn what_is_no_video_is_unusable_and_ffmpeg_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "no video").unwrap();
    let said = message(open_real(&camera(path.to_str().unwrap())));
    assert!(said.contains("ffmpeg ended with exit status") && said.contains("Invalid data"), "{said}");
    let said = message(open_real(&camera("/nowhere/x.mp4")));
    assert!(said.contains("/nowhere/x.mp4: No such file"), "{said}");
    let said = message(open_real(&camera(folder.path().to_str().unwrap())));
    assert!(said.ends_with("is a folder"), "{said}");
}

#[test]
fn an_unreachable_camera_is_lost_and_its_password_is_not_told() {
    // Port 9 of this machine: refused at once, or filtered; nothing listens there.
    let mut source = open_real(&camera("rtsp://admin:hunter22@127.0.0.1:9/live?token=hunter33")).unwrap();
    assert!(!source.is_finite());
    assert_eq!(source.describe(), "rtsp://***@127.0.0.1:9/live?*** by ffmpeg");
    match source.next_frame(PATIENCE) {
        Err(SourceError::Lost(said)) => {
            assert!(said.contains("refused"), "{said}");
            assert!(!said.contains("hunter") && !said.contains("admin"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_ffmpeg_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mp4");
    std::fs::write(&path, "x").unwrap();
    let result =
        open_with("no-such-command".into(), &camera(path.to_str().unwrap()), Arc::new(SystemClock::new()));
    assert!(matches!(result, Err(SourceError::Unusable(_))));
    assert_eq!(
        message(result),
        "there is no command no-such-command: install ffmpeg (apt install ffmpeg) or set FACEWARDEN_FFMPEG"
    );
}

#[test]
fn a_silent_camera_times_out_and_its_process_group_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    // The child of the stand-in holds the pipes too; ending the stand-in alone would leave it.
    let text = format!("sleep 600 & echo $$ $! > '{}'; wait", pids.display());
    let clock = SystemClock::new();
    let mut source = open_script(folder.path(), &text, "rtsp://cam/x").unwrap();
    let timeout = Duration::from_millis(300);
    let before = clock.now();
    assert!(matches!(source.next_frame(timeout), Err(SourceError::TimedOut(_))));
    let took = clock.now().since(before);
    assert!(took >= timeout && took < Duration::from_secs(5), "{took:?}");
    let pids = std::fs::read_to_string(pids).unwrap();
    drop(source);
    let is_running = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    for pid in pids.split_whitespace() {
        let deadline = clock.now() + Duration::from_secs(5);
        while is_running(pid) {
            assert!(clock.now() < deadline, "process {pid} is still there");
            clock.sleep(Duration::from_millis(10));
        }
    }
    // The stand-in itself was waited for: not even a zombie is left.
    let stand_in = pids.split_whitespace().next().unwrap();
    assert!(!Path::new(&format!("/proc/{stand_in}")).exists());
}

#[test]
fn what_piled_up_is_skipped_and_a_talkative_process_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let text = "head -c 300000 /dev/zero | tr '\\0' 'e' >&2\n\
        printf 'YUV4MPEG2 W2 H2 F5:1 C420\\nFRAME\\nabcdUVFRAME\\nefghUVFRAME\\nijklUV'; sleep 1; \
        printf 'FRAME\\nmnopU'; echo >&2; echo the cable rtsp://u:secret@cam/x is out >&2; exit 3";
    let mut source = open_script(folder.path(), text, "rtsp://u:secret@cam/x").unwrap();
    let mut seen = Vec::new();
    let said = loop {
        match source.next_frame(PATIENCE) {
            Ok(CapturedFrame { seq, payload: Payload::Nv12 { data, .. }, .. }) => seen.push((seq, data[0])),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(seen.last(), Some(&(2, b'i')), "{seen:?}");
    assert!(said.starts_with("rtsp://***@cam/x: ffmpeg ended with exit status: 3"), "{said}");
    assert!(said.ends_with("the cable rtsp://***@cam/x is out)"), "{said}");
}

#[test]
fn rubbish_from_ffmpeg_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mp4");
    std::fs::write(&path, "x").unwrap();
    let said = message(open_script(folder.path(), "echo hello; sleep 9", path.to_str().unwrap()));
    assert!(said.contains("what ffmpeg gives is not understood"), "{said}");
    let said = message(open_script(folder.path(), "exit 0", path.to_str().unwrap()));
    assert!(said.ends_with("x.mp4: there is no video in it"), "{said}");
}
