"""Data sets as annotation tools and other toolkits export them: one file per layout, each with a function ``find``.

``find(root)`` returns a `pixalign.data.formats.layout.Layout` if the folder is what its tool writes, else None. It
looks at names of files and folders and at small files of class names, never at pictures; what it returns reads the
rest when asked. `pixalign.data.formats.recognize` lists the readers and says how one is added.
"""
