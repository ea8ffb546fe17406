"""A shop that sells nothing and logs a lot: JSON lines over TCP, as Python programs send them to Logstash.

LOG_HOST and LOG_PORT name the receiver, LOG_EVERY the seconds between two orders, LOG_ORDERS how many there are (0 = no end).
"""

import logging
import os
import random
import signal
import sys
import time

from logstash_async.handler import AsynchronousLogstashHandler


class PaymentError(Exception):
    """The bank said no, or nothing."""


def configure() -> logging.Logger:
    """A logger that sends to LOG_HOST:LOG_PORT and writes to standard output."""
    logger = logging.getLogger("shop")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.StreamHandler(sys.stdout))
    host = os.environ.get("LOG_HOST", "127.0.0.1")
    port = int(os.environ.get("LOG_PORT", "5000"))
    # No database: what is not sent when the program ends is lost, which is fine for a demo.
    logger.addHandler(AsynchronousLogstashHandler(host, port, database_path=None))
    return logger


def pay(order: str, amount: float) -> None:
    """Fails one time in ten."""
    if random.random() < 0.1:
        raise PaymentError(f"no answer from the bank for {order} ({amount:.2f})")


def sell(logger: logging.Logger, number: int) -> None:
    """One order, with the log lines of its life."""
    order = f"o-{number:05}"
    amount = round(random.uniform(5, 500), 2)
    facts = {"order": order, "amount": amount, "user_id": random.randrange(1, 50)}
    logger.debug("cart opened", extra=facts)
    try:
        pay(order, amount)
        logger.info("order %s paid", order, extra=facts)
    except PaymentError:
        logger.exception("order %s not paid", order, extra=facts)
    if amount > 400:
        logger.warning("order %s is unusually large", order, extra=facts)


def main() -> None:
    # `docker stop` sends SIGTERM; leaving by exit() lets the handler send what it still holds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logger = configure()
    pause = float(os.environ.get("LOG_EVERY", "0.5"))
    orders = int(os.environ.get("LOG_ORDERS", "0"))
    number = 0
    while orders == 0 or number < orders:
        number += 1
        sell(logger, number)
        time.sleep(pause)


if __name__ == "__main__":
    main()
