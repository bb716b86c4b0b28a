;; Takes columns and gives them back. What was taken lies in memory as it is given.
(component
  (import "wharf:sql/types@0.1.0" (instance $types
    (type $packed-type (record (field "offsets" (list u32)) (field "data" (list u8))))
    (export "packed" (type $packed (eq $packed-type)))
    (type $interval-type (record (field "months" s32) (field "days" s32) (field "microseconds" s64)))
    (export "interval" (type $interval (eq $interval-type)))
    (type $uuid-type (record (field "high" u64) (field "low" u64)))
    (export "uuid" (type $uuid (eq $uuid-type)))
    (type $other-cells-type (record (field "type-name" string) (field "cells" $packed)))
    (export "other-cells" (type $other-cells (eq $other-cells-type)))
    (type $cells-type (variant
      (case "boolean" (list bool)) (case "signed" (list s64)) (case "unsigned" (list u64))
      (case "float32" (list f32)) (case "float64" (list f64))
      (case "decimal" $packed) (case "text" $packed) (case "bytes" $packed)
      (case "date" (list s32)) (case "time" (list u64)) (case "timestamp" (list s64)) (case "timestamp-tz" (list s64))
      (case "interval" (list $interval)) (case "uuid" (list $uuid))
      (case "json" $packed) (case "network" $packed) (case "other" $other-cells)))
    (export "cells" (type $cells (eq $cells-type)))
    (type $array-cells-type (record (field "offsets" (list u32)) (field "elements" $cells) (field "nulls" (list u8))))
    (export "array-cells" (type $array-cells (eq $array-cells-type)))
    (type $array-value-type (record (field "elements" $cells) (field "nulls" (list u8))))
    (export "array-value" (type $array-value (eq $array-value-type)))
    (type $other-value-type (record (field "type-name" string) (field "text" string)))
    (export "other-value" (type $other-value (eq $other-value-type)))
    (type $value-type (variant
      (case "null") (case "boolean" bool) (case "signed" s64) (case "unsigned" u64) (case "float32" f32) (case "float64" f64)
      (case "decimal" string) (case "text" string) (case "bytes" (list u8))
      (case "date" s32) (case "time" u64) (case "timestamp" s64) (case "timestamp-tz" s64)
      (case "interval" $interval) (case "uuid" $uuid) (case "json" string) (case "network" string)
      (case "array" $array-value) (case "other" $other-value)))
    (export "value" (type $value (eq $value-type)))
    (type $column-data-type (variant (case "cells" $cells) (case "arrays" $array-cells) (case "mixed" (list $value))))
    (export "column-data" (type $column-data (eq $column-data-type)))
    (type $column-type (record (field "data" $column-data) (field "nulls" (list u8))))
    (export "column" (type $column (eq $column-type)))))
  (alias export $types "column" (type $column))

  (core module $keeper
    (memory (export "memory") 16)
    ;; At 0 is what `give` gives: where the list that was taken last begins, and how long it is.
    (global $free (mut i32) (i32.const 16))

    ;; Never frees: the next `take` begins anew.
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (if (local.get $old-size) (then unreachable))
      (local.set $at
        (i32.and
          (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))

    (func (export "take") (param $columns i32) (param $length i32)
      (i32.store (i32.const 0) (local.get $columns))
      (i32.store (i32.const 4) (local.get $length))
      (global.set $free (i32.const 16)))

    (func (export "give") (result i32) (i32.const 0)))

  (core instance $keeper (instantiate $keeper))
  (alias core export $keeper "memory" (core memory $memory))
  (alias core export $keeper "realloc" (core func $realloc))
  (func (export "take") (param "columns" (list $column))
    (canon lift (core func $keeper "take") (memory $memory) (realloc $realloc) string-encoding=utf8))
  (func (export "give") (result (list $column))
    (canon lift (core func $keeper "give") (memory $memory) string-encoding=utf8)))
