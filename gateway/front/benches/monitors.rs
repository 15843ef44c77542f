//! What the fan-out costs: messages a second to so many monitors, processor time for each, and memory.
//!
//!     cargo bench -p front --bench monitors [MONITORS...]

use std::time::{Duration, Instant};

use bytes::Bytes;
use front::monitors::{Config, Metrics, MonitorConnection, Monitors};
use prometheus_client::registry::Registry;
use protocol::DoorTopic;
use tokio::sync::watch;

const DECISIONS: &str = "gapura/v1/regency/+/decision";

/// As long as a decision usually is.
const PAYLOAD_BYTES: usize = 380;

/// How long each measurement lasts.
const LENGTH: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let monitors = if asked.is_empty() { vec![1, 8, 64] } else { asked };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("monitors  published/s  delivered/s  missed  dropped  CPU us/delivery  resident kB");
    for count in monitors {
        for rate in [1_000, 5_000, 0] {
            println!("{}", runtime.block_on(measure(count, rate)));
        }
    }
    Ok(())
}

/// Publishes at `rate` a second, 0 for as fast as the queue takes it, to `count` monitors that read at once.
async fn measure(count: usize, rate: u32) -> String {
    let metrics = Metrics::new(&mut Registry::default());
    let config = Config { connections_max: count, ..Config::default() };
    let Ok((monitors, broadcaster)) = Monitors::new(config, metrics.clone()) else { return "bad settings".into() };
    let (stop, stopped) = watch::channel(false);
    let broadcasting = tokio::spawn(broadcaster.run(stopped));
    let listening: Vec<_> = (0..count)
        .filter_map(|_| {
            let mut connection = monitors.connect().ok()?;
            connection.subscribe(DECISIONS).ok()?;
            Some(tokio::spawn(listen(connection)))
        })
        .collect();
    let (publisher, cpu_before) = (monitors.clone(), cpu_us());
    let publishing = std::thread::spawn(move || publish(&publisher, rate));
    let published = tokio::task::spawn_blocking(move || publishing.join().unwrap_or(0)).await.unwrap_or(0);
    drop(monitors);
    broadcasting.await.ok();
    let (mut delivered, mut missed) = (0, 0);
    for listener in listening {
        let (heard, lost) = listener.await.unwrap_or((0, 0));
        (delivered, missed) = (delivered + heard, missed + lost);
    }
    drop(stop);
    let per_second = |messages: u64| messages as f64 / LENGTH.as_secs_f64();
    format!(
        "{count:8} {:12.0} {:12.0} {missed:7} {:8} {:16.2} {:12}",
        per_second(published),
        per_second(delivered),
        published.saturating_sub((delivered + missed) / count.max(1) as u64),
        cpu_us().saturating_sub(cpu_before) as f64 / delivered.max(1) as f64,
        resident_kb()
    )
}

async fn listen(mut connection: MonitorConnection) -> (u64, u64) {
    let (mut heard, mut missed) = (0, 0);
    while let Ok(delivery) = connection.next().await {
        heard += 1;
        missed += delivery.missed;
    }
    (heard, missed)
}

fn publish(monitors: &Monitors, rate: u32) -> u64 {
    let topics: Vec<DoorTopic> =
        (0..1000).filter_map(|door| format!("gapura/v1/regency/d{door:04}/decision").parse().ok()).collect();
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let (started, mut published) = (Instant::now(), 0);
    for topic in topics.iter().cycle() {
        if started.elapsed() >= LENGTH {
            break;
        }
        if rate > 0 {
            let due = Duration::from_micros(1_000_000 * published / u64::from(rate));
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        } else if published % 64 == 0 {
            // As a spine that commits between its batches.
            std::thread::sleep(Duration::from_micros(500));
        }
        monitors.publish(topic, payload.clone());
        published += 1;
    }
    published
}

/// Processor time of this process so far, in microseconds (proc_pid_stat(5): fields 14 and 15, in hundredths of a second).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10_000
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
