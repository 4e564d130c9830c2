//! Skeleton. (owner: codecs-A)
