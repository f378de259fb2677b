"""What every function of this project needs: settings, clients, identity, logs, errors."""
