//! A web server as tests need it: it takes one request after the other and does with each what the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};

use super::LONG;

/// A request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) line: String,
    /// In order; names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers));
        assert!(values.next().is_none(), "{name} is there twice");
        &value.1
    }

    fn read(from: &mut dyn Read) -> Option<Self> {
        let mut reader = BufReader::new(from);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            Some(line.trim_end().to_owned())
        };
        let request = line()?;
        let mut headers = Vec::new();
        while let Some((name, value)) = line()?.split_once(": ") {
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { line: request, headers, body })
    }
}

/// What is done with a request.
type Answer = Box<dyn FnMut(&mut dyn Write) + Send>;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Receiver<Request>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers every request with these bytes.
    pub(super) fn answering(bytes: &str) -> Self {
        let bytes = bytes.to_owned();
        Self::start(None, move |out| out.write_all(bytes.as_bytes()).unwrap())
    }

    pub(super) fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl FnMut(&mut dyn Write) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (got, requests) = crossbeam_channel::bounded(100);
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let answer: Answer = Box::new(answer);
        let thread = std::thread::Builder::new()
            .name("web server".into())
            .spawn(move || serve(&listener, tls.as_ref(), answer, &got, &stop))
            .unwrap();
        Self { address, requests, is_over, thread: Some(thread) }
    }

    /// The next request; fails the test if none comes.
    pub(super) fn request(&self) -> Request {
        self.requests.recv_timeout(LONG).unwrap()
    }

    /// How many more came.
    pub(super) fn more_requests(&self) -> usize {
        self.requests.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

fn serve(
    listener: &TcpListener,
    tls: Option<&Arc<rustls::ServerConfig>>,
    mut answer: Answer,
    got: &Sender<Request>,
    stop: &AtomicBool,
) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        match tls {
            Some(config) => {
                let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                handle(&mut stream, &mut answer, got);
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
            None => handle(&mut stream, &mut answer, got),
        }
    }
}

fn handle<S: Read + Write>(stream: &mut S, answer: &mut Answer, got: &Sender<Request>) {
    match Request::read(stream) {
        Some(request) => {
            got.send(request).unwrap();
            answer(stream);
        }
        // Such as the beginning of TLS.
        None => drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    }
}
