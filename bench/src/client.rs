//! The HTTP client: one connection that is kept, one request after the other.

use anyhow::Context;
use axum::{
    body::Bytes,
    http::{Request, StatusCode, header},
};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What Chromium sends when somebody opens a page.
pub(crate) const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A connection to a server on this machine.
#[derive(Debug)]
pub(crate) struct Connection(SendRequest<Empty<Bytes>>);

impl Connection {
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn get(
        &mut self,
        host: &str,
        path: &str,
        accept: &str,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, accept)
            .body(Empty::new())?;
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        Ok((
            answer.status(),
            answer.into_body().collect().await?.to_bytes(),
        ))
    }
}
