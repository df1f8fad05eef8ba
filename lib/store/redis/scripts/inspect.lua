-- Everything about one semaphore.
-- KEYS  K, Q
-- returns { now, fields of K, members and scores of Q }
local time = redis.call('TIME')
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('HGETALL', KEYS[1]),
  redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'),
}
