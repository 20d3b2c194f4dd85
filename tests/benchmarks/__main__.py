"""Run every benchmark and print its tables."""

from tests.benchmarks import book, grading, heads, icl, lens, llc, machine

print(machine.description())
lens.main()
heads.main()
llc.main()
icl.main()
grading.main()
book.main()
