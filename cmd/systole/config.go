package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "Check and show settings", a.configCheckCommand(), a.configShowCommand())
}

func (a *app) configCheckCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "check", Short: "Check all settings; every error comes with its key and where it was set", Args: cobra.NoArgs,
		Example: "  systole config check --config systole.yaml --role gateway",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, role)
			if err != nil {
				return err
			}
			for _, warning := range cfg.Warnings() {
				fmt.Fprintln(a.err, "warning:", warning)
			}
			_, err = fmt.Fprintln(a.out, "settings are fine")
			return err
		},
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&role, "role", "", "check for this role only: gateway, worker, console or dev; secrets of others are not read")
	return cmd
}

func (a *app) configShowCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "show", Short: "Show every setting in force and where it was set, as YAML; secrets are redacted", Args: cobra.NoArgs,
		Example: "  SYSTOLE_LOG__LEVEL=debug systole config show",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, role)
			if err != nil {
				return err
			}
			return cfg.Show(a.out)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&role, "role", "", "show for this role only: gateway, worker, console or dev; secrets of others are not read")
	return cmd
}

func (a *app) load(cmd *cobra.Command, role string) (config.Config, error) {
	switch config.Role(role) {
	case "":
		return config.Load(a.loadOptions(cmd))
	case config.RoleGateway, config.RoleWorker, config.RoleConsole, config.RoleDev:
		return config.Load(a.loadOptions(cmd, config.Role(role)))
	}
	return config.Config{}, usageError{fmt.Errorf("--role: found %q, allowed are gateway, worker, console and dev", role)}
}
