//! wrk, the client that makes the load, and what it says about it.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::{processor, servers::tethered};

/// How long an answer may take before it counts as an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a load came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    /// Latencies in milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Complete answers.
    pub(crate) requests: u64,
    /// Of complete answers and of those that were cut off in the end.
    pub(crate) bytes_per_second: f64,
    /// How many of its threads it kept busy; when it is all of them, it is the client that is measured.
    pub(crate) busy: f64,
}

/// Asks for one path over and over, on so many connections at once, which as many threads share.
///
/// # Errors
/// When an answer is none of success, a socket fails, or wrk cannot be run or understood.
/// # Cancellation
/// wrk is killed.
pub(crate) async fn load(
    address: SocketAddr,
    path: &str,
    connections: usize,
    threads: usize,
    duration: Duration,
) -> Result<Load> {
    let before = processor::children()?;
    let output = tethered("wrk".as_ref())
        .arg("--latency")
        .arg(format!("--threads={threads}"))
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={}s", duration.as_secs()))
        .arg(format!("--timeout={}s", PATIENCE.as_secs()))
        .arg(format!("http://{address}{path}"))
        .stdin(Stdio::null())
        .output()
        .await
        .context("wrk cannot be run; tests/bench/run installs it (Debian: apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    // No other child ends while a load runs.
    let busy = processor::children()?.saturating_sub(before).as_secs_f64() / duration.as_secs_f64();
    let load = parse(&text).with_context(|| format!("http://{address}{path} on {connections} connections"))?;
    Ok(Load { busy, ..load })
}

/// Whether wrk is there.
pub(crate) async fn is_installed() -> bool {
    // It has no option that does nothing and succeeds.
    Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_ok()
}

/// Reads what wrk prints.
fn parse(text: &str) -> Result<Load> {
    let line = |name: &str| text.lines().map(str::trim).find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(errors) = line("Socket errors:") {
        bail!("socket errors: {errors}");
    }
    if let Some(answers) = line("Non-2xx or 3xx responses:") {
        bail!("{answers} answers were none of success");
    }
    let latency = |percent: &str| -> Result<f64> {
        let told = line(percent).with_context(|| format!("wrk tells no latency of {percent}:\n{text}"))?;
        milliseconds(told).with_context(|| format!("wrk tells a latency of {told:?}"))
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let requests = requests.with_context(|| format!("wrk tells no number of requests:\n{text}"))?;
    let rate = line("Requests/sec:").and_then(|rate| rate.parse().ok());
    let transfer = line("Transfer/sec:").and_then(bytes).with_context(|| format!("wrk tells no transfer:\n{text}"))?;
    ensure!(transfer > 0.0, "there was no answer at all:\n{text}");
    Ok(Load {
        requests_per_second: rate.with_context(|| format!("wrk tells no rate:\n{text}"))?,
        p50_ms: latency("50%")?,
        p99_ms: latency("99%")?,
        requests,
        bytes_per_second: transfer,
        busy: 0.0,
    })
}

/// Of `731.00us`, `1.05ms`, `2.00s`, `1.00m` or `1.00h`.
fn milliseconds(told: &str) -> Option<f64> {
    let unit = told.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = told.split_at(unit);
    let each = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * each)
}

/// Of `512.00B`, `4.52KB`, `4.52MB` or `1.20GB`, which are of 1,024 each.
fn bytes(told: &str) -> Option<f64> {
    let units = [("KB", 1024.0), ("MB", 1_048_576.0), ("GB", 1_073_741_824.0), ("B", 1.0)];
    let (number, each) = units.into_iter().find_map(|(unit, each)| Some((told.strip_suffix(unit)?, each)))?;
    Some(number.parse::<f64>().ok()? * each)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "\
Running 3s test @ http://127.0.0.1/row/7
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.43ms    2.20ms  38.59ms   92.66%
    Req/Sec    37.57k     3.58k   46.79k    76.67%
  Latency Distribution
     50%  731.00us
     75%    1.20ms
     90%    3.09ms
     99%   11.06ms
  112306 requests in 3.01s, 13.60MB read
Requests/sec:  37343.46
Transfer/sec:      4.52MB
";

    #[test]
    fn what_wrk_says_is_understood() {
        let load = parse(FINE).unwrap();
        let expected = Load {
            requests_per_second: 37343.46,
            p50_ms: 0.731,
            p99_ms: 11.06,
            requests: 112_306,
            bytes_per_second: 4.52 * 1_048_576.0,
            busy: 0.0,
        };
        assert_eq!(load, expected);
    }

    #[test]
    fn every_unit_of_time_is_understood() {
        for (told, expected) in
            [("731.00us", 0.731), ("1.05ms", 1.05), ("2.50s", 2_500.0), ("1.00m", 60_000.0), ("0.50h", 1_800_000.0)]
        {
            let told = milliseconds(told).unwrap();
            assert!((told - expected).abs() < 1e-9, "{told} and {expected}");
        }
        assert_eq!((milliseconds("7"), milliseconds("7 parsecs"), milliseconds("")), (None, None, None));
    }

    #[test]
    fn every_unit_of_size_is_understood() {
        let told = ["512.00B", "2.00KB", "1.50MB", "2.00GB"].map(|told| bytes(told).unwrap());
        assert_eq!(told, [512.0, 2048.0, 1_572_864.0, 2_147_483_648.0]);
        assert_eq!((bytes("7"), bytes("much"), bytes("")), (None, None, None));
    }

    #[test]
    fn an_error_is_never_a_figure() {
        let wrong = format!("{FINE}  Non-2xx or 3xx responses: 3\n");
        assert!(parse(&wrong).unwrap_err().to_string().contains("3 answers"));
        let wrong = format!("{FINE}  Socket errors: connect 0, read 2, write 0, timeout 1\n");
        assert!(parse(&wrong).unwrap_err().to_string().contains("read 2"));
        assert!(parse(&FINE.replace("4.52MB\n", "0.00B\n")).is_err());
        assert_eq!(parse(&FINE.replace("112306 requests", "0 requests")).unwrap().requests, 0);
        assert!(parse(&FINE.replace("     99%   11.06ms\n", "")).is_err());
        assert!(parse("unable to connect").is_err());
    }
}
