-- A signal more: the process ends, and the next launch goes on at once.

ALTER TABLE pending_signals DROP CONSTRAINT pending_signals_signal_type_check;
ALTER TABLE pending_signals ADD CONSTRAINT pending_signals_signal_type_check
    CHECK (signal_type IN ('cancel', 'pause', 'shutdown', 'resume'));
