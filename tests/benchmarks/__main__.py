"""Run every benchmark and print its tables."""

from tests.benchmarks import book, heads, lens, machine

print(machine.description())
lens.main()
heads.main()
book.main()
