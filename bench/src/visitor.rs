//! A visitor: a plain socket that reads events, so that ten thousand of them weigh next to nothing here.

use std::time::Instant;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// What a visitor was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The revision of each event, and when it came.
    pub(crate) events: Vec<(u64, Instant)>,
    /// The name of the last event.
    pub(crate) last: String,
}

/// Listens until the stream ends. `begun` is called with the first event.
pub(crate) async fn visit(port: u16, host: &str, begun: impl FnOnce()) -> anyhow::Result<Told> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET /events/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::with_capacity(1024, stream);
    let (mut told, mut line, mut begun) = (Told::default(), String::new(), Some(begun));
    // Each event is a chunk of its own, so the sizes between chunks are just lines that mean nothing here.
    while reader.read_line(&mut line).await? > 0 {
        if let Some(name) = line.strip_prefix("event: ") {
            name.trim_end().clone_into(&mut told.last);
        } else if let Some(revision) = line.strip_prefix("id: ") {
            told.events
                .push((revision.trim_end().parse()?, Instant::now()));
            if let Some(begun) = begun.take() {
                begun();
            }
        }
        line.clear();
    }
    Ok(told)
}
