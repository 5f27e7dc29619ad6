drop table issuer_keys;
