"""Tasks and texts of the run that exports are tried on."""

TASKS = ("AnEM", "NCBI-disease", "MedQA", "SciFact", "BIOSSES", "Multi-XScience", "BC5CDR-RE")
HOSTILE = ['=HYPERLINK("x")', "+1", "-2", "@SUM(A1)", "\tx", 'a,"b"\r\nc', "lone \ud800", "<b>"]
