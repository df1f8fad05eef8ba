-- What seldom() gives to the rest of the script.
return {
  operations = operations,
  alive = alive,
  passed = passed,
  markDropped = markDropped,
  sweep = sweep,
  sweepEndless = sweepEndless,
  bury = bury,
  buryFirst = buryFirst,
}
