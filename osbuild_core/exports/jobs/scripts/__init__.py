"""Job-script templates: a folder with an entrypoint, supporting files, variables and questions becomes job scripts.

``template.read_template`` reads a folder, ``answers.resolve`` finds the values of its variables,
``rendering.render`` makes the files of them, ``writing.write`` puts those where they are wanted.
"""
