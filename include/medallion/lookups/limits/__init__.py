"""What ends the calls of one task before its keys are answered: the call budget, and the circuit breaker."""
