#!/bin/sh
# Runs once, on an empty data directory: the role that owns the schema and the role that the service connects as.
# Row-level security binds the second one because it is neither owner nor superuser.
set -eu

psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set=owner_password="$RAMPART_OWNER_PASSWORD" --set=app_password="$RAMPART_APP_PASSWORD" <<'SQL'
create role rampart_owner login nosuperuser nobypassrls createrole password :'owner_password';
create role rampart_app_login login nosuperuser nobypassrls nocreaterole nocreatedb password :'app_password';
create database rampart owner rampart_owner;
SQL
