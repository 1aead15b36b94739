from rill_django.domain.aggregates import Aggregate as Aggregate
from rill_django.domain.keys import key as key
from rill_django.domain.definitions import event as event, command as command
from rill_django.domain.results import Rejected as Rejected
