"""Run every benchmark and print its tables."""

from tests.benchmarks import book, lens, machine

print(machine.description())
lens.main()
book.main()
