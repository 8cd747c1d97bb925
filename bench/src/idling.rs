//! What it takes to decide again and again which of many unused apps sleep: memory, processor time, and questions to Prometheus.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    Form, Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::{
    api::Api,
    apps,
    program::{PATIENCE, Program},
    table::{Kib, ms, print, ratio},
};

/// How many apps there are.
const APPS: usize = 2_000;
/// How many checks are measured: one a minute in a cluster, one a second here.
const CHECKS: usize = 10;
/// How often to check whether they are over.
const LOOK: Duration = Duration::from_millis(50);
/// How much more memory it may take than without.
const LIMIT: Kib = Kib(20.0 * 1024.0);

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let api = Api::start((0..APPS).map(apps::awake)).await?;
    let prometheus = Prometheus::start().await?;
    let url = format!("http://127.0.0.1:{}", prometheus.port);
    let kubeconfig = api.kubeconfig()?;
    let cluster = [("KUBECONFIG", &*kubeconfig)];
    // Nothing is written, so that there are as many at the end as at the beginning.
    let idling = [
        ("UNIDLER_IDLE_AFTER", "1s"),
        ("UNIDLER_IDLE_ALL", "true"),
        ("UNIDLER_IDLE_CHECK", "1s"),
        ("UNIDLER_IDLE_DRY_RUN", "true"),
        ("UNIDLER_PROMETHEUS", &url),
        ("UNIDLER_REQUESTS", "traefik"),
    ];
    let alone = {
        let server = Program::start(program, &[], &cluster)?;
        server.ready().await?;
        sleep(Duration::from_secs(1)).await;
        server.peak()?
    };
    let server = Program::start(program, &[], &[&cluster[..], &idling].concat())?;
    server.ready().await?;
    // The first one asks for the history as well.
    prometheus.asked(2).await?;
    let (asked, lists, cpu, begun) = (
        prometheus.questions(),
        api.lists(),
        server.cpu()?,
        Instant::now(),
    );
    prometheus.asked(asked + CHECKS).await?;
    let checks = begun.elapsed().as_secs_f64().max(1.0);
    let each = |all: usize| {
        format!(
            "{:.1}",
            f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / checks
        )
    };
    let with = server.peak()?;
    let more = Kib(with.0 - alone.0);
    print(
        "Deciding about unused apps, all of which may sleep",
        [
            "apps",
            "memory without",
            "with",
            "more",
            "ratio",
            "questions a check",
            "lists a check",
            "processor a check",
        ],
        &[[
            APPS.to_string(),
            alone.to_string(),
            with.to_string(),
            more.to_string(),
            ratio(with.0, alone.0),
            each(prometheus.questions() - asked),
            each(api.lists() - lists),
            ms((server.cpu()? - cpu).div_f64(checks)),
        ]],
    );
    println!(
        "It takes {more} more, of the {LIMIT} that it may: {}.",
        more.fits(LIMIT)
    );
    Ok(())
}

/// A Prometheus for which all apps are unused, and which counts its queries.
struct Prometheus {
    port: u16,
    questions: Arc<AtomicUsize>,
}

#[derive(Deserialize)]
struct Asked {
    query: String,
}

#[derive(Clone)]
struct Answers {
    minute: Arc<Value>,
    hour: Arc<Value>,
    questions: Arc<AtomicUsize>,
}

impl Prometheus {
    async fn start() -> anyhow::Result<Self> {
        let questions = Arc::<AtomicUsize>::default();
        let target = json!({ "job": "traefik", "instance": "10.0.0.1:9100" });
        let part = |part: &str, labels: &Value, value: &str| {
            let mut labels = labels.clone();
            labels["unidler"] = json!(part);
            sample(&labels, value)
        };
        let service = |number| {
            let name = format!(
                "{}-{}-http@kubernetes",
                apps::namespace(number),
                apps::name(number)
            );
            json!({ "service": name, "protocol": "http" })
        };
        let mut minute: Vec<_> = (0..8)
            .map(|each: u8| part(&each.to_string(), &target, "60"))
            .collect();
        minute.extend([part("up", &target, "1"), part("restarts", &target, "0")]);
        for labels in (0..APPS).map(service) {
            minute.extend([part("use", &labels, "0"), part("counted", &labels, "1")]);
        }
        let hour: Vec<_> = (0..APPS)
            .map(|number| sample(&service(number), "1"))
            .collect();
        let answers = Answers {
            minute: Arc::new(vector(&minute)),
            hour: Arc::new(vector(&hour)),
            questions: Arc::clone(&questions),
        };
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            .with_state(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port, questions })
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Waits until it was asked so often.
    async fn asked(&self, times: usize) -> anyhow::Result<()> {
        let asked = async {
            while self.questions() < times {
                sleep(LOOK).await;
            }
        };
        timeout(PATIENCE, asked)
            .await
            .context("Prometheus is not asked")
    }
}

async fn answer(State(answers): State<Answers>, Form(Asked { query }): Form<Asked>) -> Response {
    answers.questions.fetch_add(1, Ordering::Relaxed);
    let answer = match query.contains("unidler") {
        true => answers.minute,
        false => answers.hour,
    };
    Json(&*answer).into_response()
}

fn sample(labels: &Value, value: &str) -> Value {
    json!({ "metric": labels, "value": [1_764_403_200, value] })
}

fn vector(samples: &[Value]) -> Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": samples } })
}
