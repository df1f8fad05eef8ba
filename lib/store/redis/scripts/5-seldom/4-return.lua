-- What seldom() gives to the rest of the script.
return { operations = operations, alive = alive, passed = passed, sweep = sweep, bury = bury, buryFirst = buryFirst }
