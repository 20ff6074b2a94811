# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare what two runs produced, where the bytes are: a pure answer to a request about files in one folder.

Rules the package keeps: nothing that is compared is ever executed, unpickled or imported; every reader has a bound, and
what passes it is told to be incomparable instead of guessed at; the answer to (a, a) is identical and the verdict of
``(a, b)`` is that of ``(b, a)``.
"""
