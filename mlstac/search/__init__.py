"""Which samples a query means: arguments -> a plan over a catalog's columns -> rows; pure, over Arrow tables.

`loading` reads the columns that a plan names, as far as their statistics let it, and asks the plan row by row group.
"""

from mlstac.search._plan import Plan, plan_query
from mlstac.search._query import Query, make_query

__all__ = ["Plan", "Query", "make_query", "plan_query"]
