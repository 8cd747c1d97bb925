//! Whatever is known of an app, its visitors get events that a browser can read, and an end.
#![no_main]

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use axum::{body::Body, http::Request};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use libfuzzer_sys::fuzz_target;
use tokio::time::sleep;
use unidler::{
    app::{
        App, AppId, Bonds, Diversion, Effect, Endpoints, Leads, ObjectId, Observation, Pods,
        Record, Service, Trouble, Version, Workload,
    },
    cluster::{ApplyError, Cluster, Write},
    host::Host,
    probe::Probes,
    progress::{Forwarding, Mark, Notice, Parts, Phase, Progress, Reason, Step},
    start::Start,
};
use unidler_fuzz::{ask, block_on, next_text, read_event};

/// What the wire types and the cluster's look like, since this crate cannot say how those are made of bytes.
#[derive(Debug)]
struct Made<T>(T);

impl<'a> Arbitrary<'a> for Made<Reason> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&Reason::ALL).copied().map(Self)
    }
}

impl<'a> Arbitrary<'a> for Made<Trouble> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(Trouble {
            reason: one(u)?,
            given_up: u.arbitrary()?,
        }))
    }
}

impl<'a> Arbitrary<'a> for Made<Endpoints> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let all = [
            Endpoints::Ready,
            Endpoints::NotReady,
            Endpoints::Unknown,
            Endpoints::Forbidden,
        ];
        u.choose(&all).copied().map(Self)
    }
}

impl<'a> Arbitrary<'a> for Made<Step> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&Step::ALL).copied().map(Self)
    }
}

impl<'a> Arbitrary<'a> for Made<Progress> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let phase = match u.int_in_range(0..=3)? {
            0 => Phase::Asleep,
            1 => Phase::Waking {
                step: one(u)?,
                reason: some(u)?,
            },
            2 => Phase::Ready {
                notice: bool::arbitrary(u)?.then_some(Notice::AlreadyAwake),
            },
            _ => Phase::Failed { reason: one(u)? },
        };
        let timeline = Vec::<(Made<Step>, u64)>::arbitrary(u)?;
        let parts = Option::<(u32, u32)>::arbitrary(u)?;
        Ok(Self(Progress {
            reference: u.arbitrary()?,
            host: u.arbitrary()?,
            title: u.arbitrary()?,
            revision: u.arbitrary()?,
            elapsed_ms: u.arbitrary()?,
            usual_ms: u.arbitrary()?,
            phase,
            restarts: u.arbitrary()?,
            parts: parts.map(|(up, of)| Parts { up, of }),
            forwarding: *u.choose(&[
                None,
                Some(Forwarding::Seamless),
                Some(Forwarding::Partial),
            ])?,
            timeline: timeline
                .into_iter()
                .map(|(Made(step), at_ms)| Mark { step, at_ms })
                .collect(),
        }))
    }
}

impl<'a> Arbitrary<'a> for Made<Observation> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.ratio(1, 8)? {
            return Ok(Self(Err(one(u)?)));
        }
        Ok(Self(Ok(App {
            connected: u.arbitrary()?,
            title: u.arbitrary()?,
            probes: Probes::default(),
            start: *u.choose(&[Start::Visit, Start::Button, Start::Retry, Start::Never])?,
            wakes: None,
            services: few(u, service)?,
            workloads: few(u, workload)?,
        })))
    }
}

/// None up to four, each with a name of its own.
fn few<T>(
    u: &mut Unstructured<'_>,
    make: impl Fn(ObjectId, &mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=4)?;
    (0..count)
        .map(|index| make(ObjectId::new(&index.to_string()), u))
        .collect()
}

fn version(u: &mut Unstructured<'_>) -> Result<Version> {
    Ok(Version(u8::arbitrary(u)?.to_string()))
}

fn workload(id: ObjectId, u: &mut Unstructured<'_>) -> Result<Workload> {
    let record = Record {
        replicas: u.int_in_range(1..=10)?,
        is_recent: u.arbitrary()?,
        is_fleeting: u.arbitrary()?,
    };
    Ok(Workload {
        id,
        version: version(u)?,
        record: bool::arbitrary(u)?.then_some(record),
        replicas: u.arbitrary()?,
        available: u.arbitrary()?,
        trouble: some(u)?,
        pods: Pods {
            step: some(u)?,
            trouble: some(u)?,
            restarts: u.arbitrary()?,
        },
        usual: u.arbitrary()?,
        bonds: Bonds {
            needs: few(u, |id, _| Ok(id))?,
            of: bool::arbitrary(u)?.then(|| ObjectId::new("0")),
            is_need: u.arbitrary()?,
            is_in_use: u.arbitrary()?,
            is_woken_for_app: u.arbitrary()?,
        },
    })
}

fn service(id: ObjectId, u: &mut Unstructured<'_>) -> Result<Service> {
    let leads = match u.int_in_range(0..=2)? {
        0 => Leads::Here(Diversion {
            restorable: u.arbitrary()?,
            effect: *u.choose(&[Effect::Leads, Effect::Astray, Effect::Gone])?,
            endpoints: some(u)?,
        }),
        1 => Leads::ToApp { endpoints: one(u)? },
        _ => Leads::Elsewhere,
    };
    Ok(Service {
        id,
        version: version(u)?,
        leads,
    })
}

fn one<'a, T>(u: &mut Unstructured<'a>) -> Result<T>
where
    Made<T>: Arbitrary<'a>,
{
    Made::arbitrary(u).map(|Made(value)| value)
}

fn some<'a, T>(u: &mut Unstructured<'a>) -> Result<Option<T>>
where
    Made<T>: Arbitrary<'a>,
{
    Ok(Option::<Made<T>>::arbitrary(u)?.map(|Made(value)| value))
}

/// A cluster in which anything can be seen, one thing a second.
#[derive(Debug)]
struct AnyCluster(Vec<Observation>);

impl Cluster for AnyCluster {
    fn find(&self, _: &Host) -> std::result::Result<AppId, Reason> {
        Ok(AppId::new("app"))
    }

    fn apps(&self) -> Vec<AppId> {
        vec![AppId::new("app")]
    }

    fn observe(&self, _: &AppId) -> Observation {
        self.0.first().cloned().unwrap_or(Err(Reason::NoRoute))
    }

    fn watch(&self, _: &AppId) -> BoxStream<'static, Observation> {
        let seen = stream::iter(self.0.clone()).then(async |observation| {
            sleep(Duration::from_secs(1)).await;
            observation
        });
        seen.chain(stream::pending()).boxed()
    }

    fn apply<'a>(
        &'a self,
        _: &'a AppId,
        _: &'a Write,
    ) -> BoxFuture<'a, std::result::Result<(), ApplyError>> {
        async { Ok(()) }.boxed()
    }
}

fn survives_the_wire(progress: &Progress) {
    let json = serde_json::to_string(progress).expect("it can be sent");
    assert!(!json.contains(['\n', '\r']), "an event's data is one line");
    assert_eq!(
        serde_json::from_str::<Progress>(&json).as_ref().ok(),
        Some(progress)
    );
}

/// What one visitor is told from the first event to the end.
async fn told(mut body: Body) -> Vec<Progress> {
    let mut told = Vec::new();
    while let Some(text) = next_text(&mut body).await {
        // What was said last, once more.
        if !text.starts_with("event: alive") {
            told.push(read_event(&text));
        }
    }
    told
}

fuzz_target!(|input: (Vec<Made<Progress>>, Vec<Made<Observation>>)| {
    let (snapshots, observations) = input;
    for Made(progress) in &snapshots {
        survives_the_wire(progress);
    }

    let cluster = AnyCluster(
        observations
            .into_iter()
            .map(|Made(observation)| observation)
            .collect(),
    );
    let request = Request::builder()
        .uri("/events/")
        .header("host", "tool.example")
        .body(Body::empty())
        .expect("a request");
    let told = block_on(ask(cluster, request, async |answer| {
        told(answer.into_body()).await
    }));
    let (last, before) = told.split_last().expect("there is an event at once");
    assert!(last.phase.is_terminal(), "there is an end: {told:?}");
    assert!(
        before.iter().all(|progress| !progress.phase.is_terminal()),
        "nothing comes after the end: {told:?}"
    );
    assert!(
        told.is_sorted_by(|one, next| one.revision < next.revision),
        "revisions increase: {told:?}"
    );
    for progress in &told {
        survives_the_wire(progress);
    }
});
