"""What brokers say of themselves: topics below `$SYS`, as mosquitto has them."""

SYS_VERSION = "$SYS/broker/version"
SYS_DROPPED = "$SYS/broker/publish/messages/dropped"
