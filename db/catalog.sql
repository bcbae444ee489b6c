-- A catalog as JSON. The query does not depend on the settings of the session.
SELECT json_build_object(
	'pid', pg_backend_pid(),
	'server', concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), (SELECT system_identifier FROM pg_control_system()),
		(SELECT oid FROM pg_database WHERE datname = current_database()),
		CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END),
	'tables', md5(concat_ws(' ',
		(SELECT string_agg(concat_ws(' ', id, file, version), ',' ORDER BY name) FROM source),
		(SELECT string_agg(concat_ws(' ', a.attrelid, a.attnum, a.xmin), ',' ORDER BY a.attrelid, a.attnum) FROM source JOIN pg_attribute AS a ON a.attrelid = source.id AND a.attnum > 0),
		(SELECT string_agg(concat_ws(' ', p.oid, p.xmin), ',' ORDER BY p.oid) FROM source JOIN pg_policy AS p ON p.polrelid = source.id),
		(SELECT string_agg(concat_ws(' ', oid, version, function_version), ',' ORDER BY oid) FROM trigger))),
	'triggers', (SELECT md5(string_agg(definition, ',' ORDER BY name COLLATE "C", tgname COLLATE "C")) FROM trigger),
	'ordinary', (SELECT bool_and(ordinary) FROM source))
