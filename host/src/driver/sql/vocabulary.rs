//! Names that leave nothing behind in a PostgreSQL session.

/// Built-in functions, and type names used as functions, that neither write nor touch the session. Sorted.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "abs", "age", "array_agg", "array_append", "array_cat", "array_dims", "array_length", "array_lower", "array_ndims",
    "array_position", "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_json", "array_to_string",
    "array_upper", "ascii", "avg", "bit", "bit_and", "bit_length", "bit_or", "bool", "bool_and", "bool_or", "bpchar", "btrim",
    "cardinality", "cbrt", "ceil", "ceiling", "char", "char_length", "character_length", "chr", "clock_timestamp", "coalesce",
    "concat", "concat_ws", "convert_from", "convert_to", "corr", "cos", "count", "covar_pop", "covar_samp", "cume_dist",
    "current_database", "current_schema", "current_setting", "date", "date_bin", "date_part", "date_trunc", "decode", "degrees",
    "dense_rank", "div", "encode", "every", "exp", "extract", "first_value", "float4", "float8", "floor", "format",
    "format_type", "gcd", "gen_random_uuid", "generate_series", "generate_subscripts", "get_byte", "greatest", "host",
    "hostmask", "initcap", "int2", "int4", "int8", "interval", "isfinite", "json_agg", "json_array_elements",
    "json_array_elements_text", "json_array_length", "json_build_array", "json_build_object", "json_each", "json_each_text",
    "json_extract_path", "json_extract_path_text", "json_object", "json_object_agg", "json_object_keys", "json_strip_nulls",
    "json_typeof", "jsonb", "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_pretty", "jsonb_set", "jsonb_strip_nulls", "jsonb_typeof",
    "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lcm", "lead", "least", "left", "length", "like",
    "like_escape", "ln", "log", "log10", "lower", "lpad", "ltrim", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "masklen", "max", "md5", "min", "mod", "mode", "name", "network", "normalize", "notlike", "now", "nth_value",
    "ntile", "nullif", "num_nonnulls", "num_nulls", "numeric", "octet_length", "overlaps", "overlay", "percent_rank",
    "percentile_cont", "percentile_disc", "pg_sleep", "pg_typeof", "phraseto_tsquery", "pi", "plainto_tsquery", "position",
    "power", "quote_ident", "quote_literal", "quote_nullable", "radians", "random", "rank", "regexp_match", "regexp_matches",
    "regexp_replace", "regexp_split_to_array", "regexp_split_to_table", "repeat", "replace", "reverse", "right", "round",
    "row_number", "row_to_json", "rpad", "rtrim", "scale", "sha224", "sha256", "sha384", "sha512", "sign", "sin", "split_part",
    "sqrt", "starts_with", "statement_timestamp", "stddev", "stddev_pop", "stddev_samp", "string_agg", "string_to_array",
    "strpos", "substr", "substring", "sum", "tan", "text", "time", "timestamp", "timestamptz", "timezone", "to_ascii",
    "to_char", "to_date", "to_hex", "to_json", "to_jsonb", "to_number", "to_regclass", "to_regtype", "to_timestamp",
    "to_tsquery", "to_tsvector", "transaction_timestamp", "translate", "trim_scale", "trunc", "ts_rank", "unnest", "upper",
    "var_pop", "var_samp", "varchar", "variance", "version", "websearch_to_tsquery", "width_bucket",
];

/// Words that may stand before a parenthesis in an expression of the catalog without being called. Sorted.
#[rustfmt::skip]
const SYNTAX: &[&str] = &[
    "all", "and", "any", "array", "as", "between", "bit", "by", "case", "cast", "char", "character", "check", "coalesce",
    "collate", "conflict", "date", "decimal", "distinct", "else", "end", "exists", "extract", "filter", "float", "from",
    "greatest", "having", "ilike", "in", "int", "integer", "intersect", "interval", "is", "isnull", "join", "lateral", "least",
    "like", "limit", "not", "notnull", "null", "nullif", "numeric", "offset", "on", "or", "order", "over", "overlay",
    "partition", "position", "precision", "real", "row", "select", "similar", "smallint", "some", "symmetric", "text", "then",
    "time", "timestamp", "timestamptz", "to", "trim", "union", "unique", "using", "uuid", "values", "varbit", "varchar",
    "varying", "when", "where", "with", "within", "without", "zone",
];

/// Whether the built-in function of this name is harmless.
pub(super) fn is_harmless_function(name: &str) -> bool {
    FUNCTIONS.binary_search(&name).is_ok()
}

/// Whether a parenthesis after this word is syntax.
pub(super) fn is_syntax(word: &str) -> bool {
    SYNTAX.binary_search(&word).is_ok()
}

/// Functions that move a sequence, which the session remembers for `currval` and `lastval`.
pub(super) fn moves_sequence(name: &str) -> bool {
    matches!(name, "nextval" | "setval")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lists_are_sorted() {
        assert!(super::FUNCTIONS.is_sorted() && super::SYNTAX.is_sorted());
    }
}
