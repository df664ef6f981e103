"""Pictures and holes to train and to judge with."""
