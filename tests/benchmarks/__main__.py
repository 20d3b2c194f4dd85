"""Run every benchmark and print its tables."""

from tests.benchmarks import book, heads, lens, llc, machine

print(machine.description())
lens.main()
heads.main()
llc.main()
book.main()
