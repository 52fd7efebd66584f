"""Jobs that outlive the page that started them, how they look while they run, and their JSON and CSV documents."""
