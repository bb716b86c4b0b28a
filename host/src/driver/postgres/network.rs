//! Network addresses between the wire and text.

use std::{io::Write, net::IpAddr};

const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

/// Appends the text of an `inet` or a `cidr`; the width is left out where an `inet` is a whole host.
pub(super) fn read_inet(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let [family, width, is_cidr, length, address @ ..] = bytes else {
        return Err("a network address that ends too early");
    };
    let (address, full) = match (family, usize::from(*length) == address.len()) {
        (&FAMILY_V4, true) => (<[u8; 4]>::try_from(address).map(IpAddr::from), 32),
        (&FAMILY_V6, true) => (<[u8; 16]>::try_from(address).map(IpAddr::from), 128),
        _ => return Err("a network address of an unknown family"),
    };
    let address = address.map_err(|_| "a network address of a wrong length")?;
    let written = if *width == full && *is_cidr == 0 { write!(out, "{address}") } else { write!(out, "{address}/{width}") };
    written.map_err(|_| "writing to memory")
}

/// Appends the wire form of `address` or `address/width`. The server checks that a `cidr` has no bits beyond its width.
pub(super) fn write_inet(text: &str, is_cidr: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const NOT_ADDRESS: &str = "it is not a network address";
    let (address, width) = match text.trim_ascii().split_once('/') {
        Some((address, width)) => (address, Some(width)),
        None => (text.trim_ascii(), None),
    };
    let address: IpAddr = address.parse().map_err(|_| NOT_ADDRESS)?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let width = match width {
        Some(width) if width.bytes().all(|byte| byte.is_ascii_digit()) => width.parse::<u8>().map_err(|_| NOT_ADDRESS)?,
        Some(_) => return Err(NOT_ADDRESS),
        None => full,
    };
    if width > full {
        return Err("the width of the network is larger than the address");
    }
    match address {
        IpAddr::V4(address) => {
            out.extend([FAMILY_V4, width, u8::from(is_cidr), 4]);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.extend([FAMILY_V6, width, u8::from(is_cidr), 16]);
            out.extend(address.octets());
        }
    }
    Ok(())
}

/// Appends `08:00:2b:01:02:03`, for six bytes or eight.
pub(super) fn read_mac(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if !matches!(bytes.len(), 6 | 8) {
        return Err("a hardware address of a wrong length");
    }
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index > 0 { ":" } else { "" };
        write!(out, "{colon}{byte:02x}").map_err(|_| "writing to memory")?;
    }
    Ok(())
}

/// Appends the bytes of a hardware address, `wide` for `macaddr8`. Colons, hyphens and points are taken as separators.
pub(super) fn write_mac(text: &str, wide: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const NOT_MAC: &str = "it is not a hardware address of this length";
    let digits: Vec<u8> = text.trim_ascii().bytes().filter(|byte| !matches!(byte, b':' | b'-' | b'.')).collect();
    if digits.len() != if wide { 16 } else { 12 } {
        return Err(NOT_MAC);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(NOT_MAC);
    for pair in digits.chunks(2) {
        let byte = digit(pair[0])? * 16 + digit(pair[1])?;
        out.push(byte);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive() {
        for (text, is_cidr) in [
            ("10.0.0.1", false),
            ("10.0.0.1/8", false),
            ("10.0.0.0/8", true),
            ("::1", false),
            ("fe80::/64", true),
            ("1.2.3.4/32", true),
        ] {
            let mut wire = Vec::new();
            write_inet(text, is_cidr, &mut wire).unwrap();
            let mut back = Vec::new();
            read_inet(&wire, &mut back).unwrap();
            assert_eq!(String::from_utf8(back).unwrap(), text);
        }
        let mut wire = Vec::new();
        write_mac("08-00-2B-01-02-03", false, &mut wire).unwrap();
        let mut back = Vec::new();
        read_mac(&wire, &mut back).unwrap();
        assert_eq!(back, b"08:00:2b:01:02:03");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "10.0.0", "10.0.0.1/33", "10.0.0.1/+8", "example.org", "::1/129"] {
            assert!(write_inet(text, false, &mut Vec::new()).is_err(), "{text}");
        }
        assert!(write_mac("08:00:2b:01:02:03", true, &mut Vec::new()).is_err());
        assert!(read_inet(&[2, 32, 0, 4, 1, 2, 3], &mut Vec::new()).is_err());
    }
}
