//! Reads networks: an address, or one with the length of its prefix.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Entry, Table};

const MAX_NETWORKS: usize = 64;
const EXPECTED: &str = "an array of networks";

/// The networks under a key; none when it is absent or was reported.
pub(super) fn read(table: &mut Table<'_>, key: &'static str) -> Vec<IpNet> {
    let Some(entry) = table.take(key) else { return Vec::new() };
    let Some(items) = entry.items(EXPECTED) else { return Vec::new() };
    if items.len() > MAX_NETWORKS {
        let message = format!("`{key}` has {} networks", items.len());
        entry.context.error(entry.at, message, format!("allowed: {MAX_NETWORKS} at most"));
    }
    items.iter().filter_map(read_network).collect()
}

fn read_network(entry: &Entry<'_>) -> Option<IpNet> {
    let text = entry.text(EXPECTED)?;
    let address = || text.value.parse::<IpAddr>().ok().map(IpNet::from);
    let (problem, hint) = match text.value.parse::<IpNet>().ok().or_else(address) {
        None => ("is not a network", "write an address, or one with the length of its prefix, such as \"10.0.0.0/8\"".to_owned()),
        Some(network) if network.prefix_len() == 0 => {
            ("is everybody", "name the networks that your proxies are in, so that nobody else is believed".to_owned())
        }
        Some(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
            ("is IPv4 written as IPv6", "write it without `::ffff:`, such as \"10.0.0.0/8\"".to_owned())
        }
        Some(network) if network.addr() != network.network() => {
            ("has more of an address than its prefix", format!("did you mean \"{}\"?", network.trunc()))
        }
        Some(network) => return Some(network),
    };
    entry.context.error(entry.at, format!("{} {problem}", text.shown()), hint);
    None
}
