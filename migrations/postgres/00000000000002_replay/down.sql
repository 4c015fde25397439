DROP TABLE replay_nonces;
DROP TABLE replay_state;
