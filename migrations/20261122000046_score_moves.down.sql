drop table score_moves;
