//! What is left of a body whose request was answered before all of it had come.
//!
//! A connection that is closed while the other side still sends is reset, and with it the answer is lost: whoever sent too
//! much, or without a token, would read "broken pipe" rather than why. So the rest is read and thrown away, for a little
//! while and up to a size; after that the connection is closed all the same.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio_stream::StreamExt as _;

/// So much is thrown away at most, bytes.
const MOST: usize = 16 << 20;
/// And for so long at most.
const WITHIN: Duration = Duration::from_secs(2);

/// A body whose rest is thrown away when nobody wants it any more.
pub(super) struct Patient {
    body: Option<Body>,
    /// False while the other side waits to be told to send it.
    is_coming: bool,
}

impl Patient {
    /// The same request; its body as said above.
    pub(super) fn with(request: Request) -> Request {
        let is_coming = !request.headers().contains_key(header::EXPECT);
        request.map(|body| Body::new(Self { body: (!body.is_end_stream()).then_some(body), is_coming }))
    }
}

impl HttpBody for Patient {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_coming = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            // At its end, or broken: nothing more comes.
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| self.is_coming && !body.is_end_stream());
        // Without a runtime the server is at its end, and so is the connection.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(WITHIN, throw_away(rest)));
        }
    }
}

async fn throw_away(body: Body) {
    let (mut pieces, mut thrown) = (body.into_data_stream(), 0);
    while thrown < MOST {
        let Some(Ok(piece)) = pieces.next().await else { return };
        thrown += piece.len();
    }
}
