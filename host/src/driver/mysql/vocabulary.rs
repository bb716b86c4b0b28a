//! Names that leave nothing behind in a session of MariaDB or MySQL.

/// Functions of MariaDB 10.11 and of MySQL 8.0 that neither write nor touch the session. Either server prefers them to stored functions of
/// the same name where the parenthesis follows at once; behind a space some are names like any other. Sorted.
#[rustfmt::skip]
pub(super) const FUNCTIONS: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "ascii", "asin", "atan", "atan2", "avg", "bin", "bit_and", "bit_count", "bit_length", "bit_or",
    "bit_xor", "cast", "ceil", "ceiling", "char_length", "character_length", "coalesce", "coercibility", "compress", "concat",
    "concat_ws", "connection_id", "conv", "convert_tz", "cos", "cot", "count", "crc32", "cume_dist", "curdate", "current_date",
    "current_time", "current_timestamp", "current_user", "curtime", "database", "date", "date_add", "date_format", "date_sub",
    "datediff", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "degrees", "dense_rank", "elt", "exp", "export_set",
    "extract", "field", "find_in_set", "first_value", "floor", "format", "from_base64", "from_days", "from_unixtime", "greatest",
    "group_concat", "hex", "hour", "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "instr", "is_ipv4", "is_ipv6",
    "isnull", "json_array", "json_array_append", "json_array_insert", "json_arrayagg", "json_contains", "json_contains_path",
    "json_depth", "json_extract", "json_insert", "json_keys", "json_length", "json_merge_patch", "json_merge_preserve", "json_object",
    "json_objectagg", "json_overlaps", "json_pretty", "json_quote", "json_remove", "json_replace", "json_search", "json_set",
    "json_type", "json_unquote", "json_valid", "json_value", "lag", "last_day", "last_value", "lcase", "lead", "least", "length", "ln",
    "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad", "ltrim", "make_set", "makedate", "maketime",
    "max", "md5", "microsecond", "mid", "min", "minute", "mod", "month", "monthname", "now", "nth_value", "ntile", "nullif", "oct",
    "octet_length", "ord", "percent_rank", "period_add", "period_diff", "pi", "position", "pow", "power", "quarter", "quote", "radians",
    "rand", "random_bytes", "rank", "regexp_instr", "regexp_replace", "regexp_substr", "repeat", "reverse", "round", "row_number",
    "rpad", "rtrim", "schema", "sec_to_time", "second", "session_user", "sha", "sha1", "sha2", "sign", "sin", "sleep", "soundex",
    "space", "sqrt", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date", "strcmp", "subdate", "substr", "substring",
    "substring_index", "subtime", "sum", "sysdate", "system_user", "tan", "time", "time_format", "time_to_sec", "timediff", "timestamp",
    "timestampadd", "timestampdiff", "to_base64", "to_days", "to_seconds", "trim", "ucase", "uncompress", "unhex", "unix_timestamp",
    "upper", "user", "utc_date", "utc_time", "utc_timestamp", "uuid", "var_pop", "var_samp", "variance", "version", "week", "weekday",
    "weekofyear", "weight_string", "year", "yearweek",
];

/// Words that may stand before a parenthesis; on neither server a stored function can be called by one of them without quotes. Sorted.
#[rustfmt::skip]
pub(super) const SYNTAX: &[&str] = &[
    "all", "and", "any", "as", "between", "binary", "bit", "by", "case", "char", "character", "charset", "check", "collate", "convert",
    "date", "datetime", "decimal", "default", "distinct", "div", "double", "else", "except", "exists", "float", "for", "from", "group",
    "having", "if", "ignore", "in", "index", "insert", "int", "integer", "intersect", "interval", "into", "is", "join", "key", "left",
    "like", "limit", "match", "mod", "not", "offset", "on", "or", "order", "over", "partition", "primary", "real", "recursive",
    "regexp", "replace", "returning", "right", "rlike", "row", "select", "set", "signed", "some", "straight_join", "table", "then",
    "time", "union", "unique", "unsigned", "update", "using", "value", "values", "varchar", "when", "where", "window", "with", "xor",
];

/// Whether the built-in function of this name is harmless.
pub(super) fn is_harmless_function(name: &str) -> bool {
    FUNCTIONS.binary_search(&name).is_ok()
}

/// Whether a parenthesis after this word is syntax. `LEFT`, `RIGHT`, `INSERT`, `REPLACE`, `CHAR`, `IF` and `MOD` are functions as well,
/// and harmless.
pub(super) fn is_syntax(word: &str) -> bool {
    SYNTAX.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lists_are_sorted() {
        for list in [super::FUNCTIONS, super::SYNTAX] {
            let wrong = list.windows(2).find(|pair| pair[0] >= pair[1]);
            assert_eq!(wrong, None);
        }
    }
}
