"""The bank: ``chNN`` holds the questions of a chapter in ``QUESTIONS``, one module a question.

``mechlib.checks`` asks them. It imports a chapter by the name in a question's id when it is asked for, and no other.
What several questions draw and say is in ``drawing`` and ``intervals``; ``verdicts`` makes tasks that hand in a test.

An open task, ``mechlib.checks.open_task.OpenTask``, asks for a finding and not for a function from a formula. It stands
among ``QUESTIONS`` too, and its budget and steps in the notebook. Its ways, two at least, are in
``tests/questions/ways/chNN/NAME.py``; ``tests/questions/test_open_tasks.py`` shows that each of them earns all, and
what took no thought nothing.

To write a question, ``chNN.NAME``:

1. ``mechlib/questions/chNN/NAME.py`` with ``QUESTION``, in the notebook's order among ``QUESTIONS`` of ``chNN``:

   - the **reference**, the function that the chapter teaches, of ``mechlib`` where ``mechlib`` has it. What an answer
     may do otherwise is a keyword-only step of it with the right way as the default.
   - the **cases**, drawn from a generator alone: every axis of another length, no bias of zeros, each argument with two
     values at least, and the edges that the text names, among them one entry along each axis that may have so few.
     Both signs occur wherever a quantity can have them, and what is compared with a threshold comes close to it.
   - the **fields** and their tolerances, which tell the right answer from one in half precision.
   - five **misconceptions** or more with what a good tutor would say, first of all as edits of the reference
     (``mechlib.checks.edits``), as functions where a mistake goes another way. Sentences use the notebook's names.
   - three **hints**: a nudge, the method, almost the answer. The third holds for the notebook's own example.

   Large libraries are imported inside the function that needs them: the first ``check`` of a session is quick.
2. ``tests/questions/alternatives/chNN/NAME.py``: three right answers or more, written differently, in ``ALTERNATIVES``.
3. With the next release, its id in ``tests/checks/released.txt``. An id that stands there is never taken away: a
   question that a chapter no longer asks moves to ``RETIRED`` of the chapter.
4. The cells of the solution: text, answer, ``check("chNN.NAME", NAME)``.
5. ``pytest tests/questions``: the lint, the audit (every misconception rejected, four of five named, none misnamed,
   every alternative accepted), strangers (``tests/questions/strangers``: answers that the question has never seen), and
   mutants, wrong answers that a machine makes from the reference. A mutant that is judged right shows what the cases do
   not look at: add a case, or declare in ``tests/questions/mutants/equivalent.py`` why it is no mistake.
   ``python -m tests.benchmarks.mutants`` looks on fifty seeds; with ``--write`` it writes the list of holes anew.
"""
