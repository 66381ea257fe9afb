package mysql

import (
	"math"
	"slices"
	"strings"

	api "google.golang.org/api/sqladmin/v1"
)

// flags are the database flags that instances take: a part of Google's list
// ("Configure database flags", MySQL), with its types, ranges and whether they
// take a restart. That list has more; a flag that is not here is refused as one
// that Cloud SQL does not know. In the order of names.
var flags = func() []*api.Flag {
	list := []*api.Flag{
		integer("auto_increment_increment", 1, 65535),
		integer("auto_increment_offset", 1, 65535),
		integer("binlog_cache_size", 4096, math.MaxInt64),
		integer("binlog_expire_logs_seconds", 0, 4294967295),
		oneOf("binlog_row_image", "full", "minimal", "noblob"),
		oneOf("binlog_row_metadata", "full", "minimal"),
		restart(oneOf("character_set_server", "ascii", "big5", "binary", "cp1250", "cp1251", "cp850", "gbk", "greek", "latin1", "latin2", "utf8mb3", "utf8mb4")),
		restart(oneOf("collation_server", "latin1_swedish_ci", "utf8mb3_general_ci", "utf8mb3_unicode_ci", "utf8mb4_0900_ai_ci", "utf8mb4_bin",
			"utf8mb4_general_ci", "utf8mb4_unicode_520_ci", "utf8mb4_unicode_ci")),
		integer("connect_timeout", 2, 31536000),
		integer("cte_max_recursion_depth", 0, 4294967295),
		integer("default_password_lifetime", 0, 65535),
		restart(&api.Flag{Name: "default_time_zone", Type: "MYSQL_TIMEZONE_OFFSET"}),
		boolean("event_scheduler"),
		boolean("explicit_defaults_for_timestamp"),
		restart(integer("ft_min_word_len", 1, 84)),
		boolean("general_log"),
		integer("group_concat_max_len", 4, math.MaxInt64),
		boolean("innodb_adaptive_hash_index"),
		integer("innodb_buffer_pool_size", 5242880, math.MaxInt64),
		boolean("innodb_file_per_table"),
		integer("innodb_flush_log_at_timeout", 1, 2700),
		restart(integer("innodb_ft_max_token_size", 10, 84)),
		restart(integer("innodb_ft_min_token_size", 0, 16)),
		integer("innodb_lock_wait_timeout", 1, 1073741824),
		integer("innodb_log_buffer_size", 262144, 4294967295),
		integer("innodb_max_dirty_pages_pct", 0, 99),
		integer("innodb_online_alter_log_max_size", 65536, math.MaxInt64),
		boolean("innodb_print_all_deadlocks"),
		integer("innodb_redo_log_capacity", 8388608, 137438953472),
		boolean("innodb_stats_on_metadata"),
		boolean("innodb_strict_mode"),
		integer("interactive_timeout", 1, 31536000),
		integer("join_buffer_size", 128, math.MaxInt64),
		boolean("local_infile"),
		integer("lock_wait_timeout", 1, 31536000),
		boolean("log_bin_trust_function_creators"),
		boolean("log_queries_not_using_indexes"),
		integer("long_query_time", 0, 30000000),
		integer("max_allowed_packet", 16384, 1073741824),
		integer("max_connections", 10, 100000),
		integer("max_execution_time", 0, math.MaxInt64),
		integer("max_heap_table_size", 16384, 67108864),
		integer("max_prepared_stmt_count", 0, 1048576),
		integer("net_read_timeout", 30, 4294967295),
		integer("net_write_timeout", 60, 4294967295),
		restart(boolean("performance_schema")),
		integer("read_buffer_size", 8192, 2147483647),
		boolean("slow_query_log"),
		integer("sort_buffer_size", 32768, math.MaxInt64),
		repeated("sql_mode", "ALLOW_INVALID_DATES", "ANSI_QUOTES", "ERROR_FOR_DIVISION_BY_ZERO", "HIGH_NOT_PRECEDENCE", "IGNORE_SPACE",
			"NO_AUTO_VALUE_ON_ZERO", "NO_BACKSLASH_ESCAPES", "NO_DIR_IN_CREATE", "NO_ENGINE_SUBSTITUTION", "NO_UNSIGNED_SUBTRACTION",
			"NO_ZERO_DATE", "NO_ZERO_IN_DATE", "ONLY_FULL_GROUP_BY", "PAD_CHAR_TO_FULL_LENGTH", "PIPES_AS_CONCAT", "REAL_AS_FLOAT",
			"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "TIME_TRUNCATE_FRACTIONAL", "ANSI", "TRADITIONAL"),
		integer("table_definition_cache", 400, 524288),
		integer("table_open_cache", 1, 524288),
		integer("thread_cache_size", 0, 16384),
		integer("tmp_table_size", 1024, 67108864),
		restart(oneOf("transaction_isolation", "READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE")),
		integer("wait_timeout", 1, 31536000),
	}
	for _, f := range list {
		f.Kind = "sql#flag"
		f.AppliesTo = []string{"MYSQL_9_7"}
		f.FlagScope = "SQL_FLAG_SCOPE_DATABASE"
	}
	slices.SortFunc(list, func(a, b *api.Flag) int { return strings.Compare(a.Name, b.Name) })
	return list
}()

func integer(name string, least, most int64) *api.Flag {
	return &api.Flag{Name: name, Type: "INTEGER", MinValue: least, MaxValue: most, ForceSendFields: []string{"MinValue"}}
}

func boolean(name string) *api.Flag { return &api.Flag{Name: name, Type: "BOOLEAN"} }

func oneOf(name string, values ...string) *api.Flag {
	return &api.Flag{Name: name, Type: "STRING", AllowedStringValues: values}
}

func repeated(name string, values ...string) *api.Flag {
	return &api.Flag{Name: name, Type: "REPEATED_STRING", AllowedStringValues: values}
}

func restart(f *api.Flag) *api.Flag {
	f.RequiresRestart = true
	return f
}

func flagNamed(name string) *api.Flag {
	i := slices.IndexFunc(flags, func(f *api.Flag) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func needsRestart(name string) bool {
	f := flagNamed(name)
	return f == nil || f.RequiresRestart
}

func isNumber(name string) bool {
	f := flagNamed(name)
	return f != nil && f.Type == "INTEGER"
}
